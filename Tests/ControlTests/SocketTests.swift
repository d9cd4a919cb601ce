import CKernel
import Glibc
import Registration
import Testing

@testable import Control

/// Against the real kernel, on loopback. One after the other: a port that is free at one address may be another test's
/// at the next.
@Suite(.serialized)
struct ListenerSocketTests {
    private func open(
        _ address: ListenAddress, port: UInt16 = 0, count: Int
    ) throws(KernelFailure) -> (ListenerSockets, [OwnedDescriptor]) {
        let sockets = try ListenerSockets(address, port: port, backlog: 16, count: count)
        return (sockets, sockets.fds.map { OwnedDescriptor($0) })
    }

    @Test(arguments: [1, 2, 5])
    func everyReactorGetsASocketOfThePort(count: Int) throws {
        let (sockets, descriptors) = try open(.loopback, count: count)
        #expect(descriptors.count == count && sockets.port > 0)
        #expect(descriptors.allSatisfy { ck_bound_port($0.fd) == Int32(sockets.port) })
    }

    /// Another socketmaster is a stranger, too: its first socket asks for the port alone.
    @Test(arguments: [ListenAddress.loopback, .ipv4(0), .all, .ipv6(high: 0, low: 1)], [1, 3])
    func aPortThatIsTakenIsRefused(address: ListenAddress, count: Int) throws {
        let (sockets, descriptors) = try open(address, count: count)
        #expect(throws: KernelFailure(EADDRINUSE)) { _ = try open(address, port: sockets.port, count: count) }
        withExtendedLifetime(descriptors) {}
    }

    /// SO_REUSEPORT lets in whoever sets it and has the same user, so the group needs a guard.
    @Test(arguments: [ListenAddress.loopback, .ipv4(0), .ipv6(high: 0, low: 1)], [1, 3])
    func nobodyJoinsTheGroup(address: ListenAddress, count: Int) throws {
        let (sockets, descriptors) = try open(address, count: count)
        let stranger = listenTCP(address, port: sockets.port, backlog: 16, isFirst: false)
        #expect(stranger == -EADDRINUSE)
        if stranger >= 0 { _ = ck_close_now(stranger) }
        withExtendedLifetime((sockets, descriptors)) {}
    }

    /// Between two times another test may get the port, but hardly ten ports one after the other.
    @Test func aPortCanBeOpenedAgainWhenAllItsSocketsAreClosed() throws {
        for attempt in 1...10 {
            do throws(KernelFailure) {
                return try openAgainAndAgain()
            } catch {
                guard error.number == EADDRINUSE, attempt < 10 else { throw error }
            }
        }
    }

    private func openAgainAndAgain() throws(KernelFailure) {
        var port: UInt16 = 0
        for _ in 0..<20 {
            let (sockets, descriptors) = try open(.loopback, port: port, count: 3)
            #expect(port == 0 || port == sockets.port)
            port = sockets.port
            withExtendedLifetime(descriptors) {}
        }
    }

    /// What the kernel says of it, in seconds.
    private func deferral(of descriptor: OwnedDescriptor) -> Int32 {
        var seconds = Int32(-1)
        var size = socklen_t(MemoryLayout<Int32>.size)
        _ = unsafe getsockopt(descriptor.fd, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, &seconds, &size)
        return seconds
    }

    @Test func acceptingIsDeferredOnEverySocketAndNotAnyMore() throws {
        var (sockets, descriptors) = try open(.loopback, count: 3)
        #expect(descriptors.allSatisfy { deferral(of: $0) == 0 })
        sockets.deferAccept(true)
        #expect(descriptors.allSatisfy { deferral(of: $0) == 1 })
        sockets.deferAccept(false)
        #expect(descriptors.allSatisfy { deferral(of: $0) == 0 })
        withExtendedLifetime(descriptors) {}
    }

    @Test func anAddressThatIsNotOursIsRefused() {
        #expect(throws: KernelFailure(EADDRNOTAVAIL)) { _ = try open(.ipv4(0xcb00_7105), count: 2) }
    }

    @Test(arguments: [EADDRINUSE, EACCES, EADDRNOTAVAIL, EMFILE, EAFNOSUPPORT, ENOBUFS])
    func eachFailureHasASentenceThatNamesThePort(number: Int32) {
        let sentence = ListenerSockets.sentence(.loopback, port: 8_123, KernelFailure(number))
        #expect(sentence.contains("8123") && sentence.contains("127.0.0.1") && sentence.hasSuffix("."))
    }
}

struct ControlSocketTests {
    private func path(_ name: String) -> String {
        "/tmp/socketmaster-\(ck_random())-\(name)"
    }

    @Test func aUnixSocketIsForItsOwnerAndGoesWithItsSocket() throws {
        let path = path("own")
        var device: UInt64 = 0
        var inode: UInt64 = 0
        do {
            let socket = try ControlSocket(.unix(path: path))
            #expect(unsafe ck_socket_file(path, &device, &inode) == 0)
            withExtendedLifetime(socket) {}
        }
        #expect(unsafe ck_socket_file(path, &device, &inode) == -ENOENT)
    }

    @Test func aUnixSocketThatIsListenedOnIsRefused() throws {
        let path = path("live")
        let first = try ControlSocket(.unix(path: path))
        #expect(throws: StartFailure.self) { try ControlSocket(.unix(path: path)) }
        #expect(unsafe ck_unix_socket_alive(path))
        withExtendedLifetime(first) {}
    }

    /// What a proxy leaves behind that is killed.
    @Test func aUnixSocketWithoutAnOwnerIsReplaced() throws {
        let path = path("stale")
        _ = ck_close_now(unsafe ck_bind_unix(path, 0o600))
        let socket = try ControlSocket(.unix(path: path))
        #expect(unsafe ck_unix_socket_alive(path))
        withExtendedLifetime(socket) {}
    }

    @Test func aFileThatIsNoSocketIsLeftAlone() throws {
        let path = path("file")
        let fd = unsafe creat(path, 0o600)
        #expect(fd >= 0)
        #expect(throws: StartFailure.self) { try ControlSocket(.unix(path: path)) }
        #expect(unsafe access(path, F_OK) == 0)
        _ = ck_close_now(fd)
        _ = unsafe ck_remove_file(path)
    }

    /// A successor that has put its own socket there keeps it.
    @Test func aFileOfSomebodyElseIsNotRemoved() throws {
        let path = path("successor")
        var first: ControlSocket? = try ControlSocket(.unix(path: path))
        _ = unsafe ck_remove_file(path)
        let second = OwnedDescriptor(unsafe ck_bind_unix(path, 0o600))
        #expect(ck_begin_to_listen(second.fd, 1) == 0)
        withExtendedLifetime(first) {}
        first = nil
        #expect(unsafe ck_unix_socket_alive(path))
        withExtendedLifetime(second) { _ = unsafe ck_remove_file(path) }
    }

    @Test func eachFailureNamesTheAddressAndItsExitCode() throws {
        let taken = try ControlSocket(.tcp(.loopback, port: 0))
        #expect(failure(taken.address)?.exitCode == .temporary)
        #expect(failure(taken.address)?.description.contains("\(taken.address)") == true)
        #expect(failure(.tcp(.ipv4(0xcb00_7105), port: 1))?.exitCode == .configuration)
        #expect(failure(.unix(path: "/nowhere/x"))?.exitCode == .cannotCreate)
        let strangers = SocketAccess(mode: 0o660, group: "nobody-has-this-group")
        #expect(failure(.unix(path: path("group"), access: strangers))?.exitCode == .configuration)
    }

    @Test func anAbstractSocketHasNoFileAndOneOwner() throws {
        let address = ControlAddress.abstract(name: "socketmaster-\(ck_random())")
        let first = try ControlSocket(address)
        #expect(failure(address)?.exitCode == .temporary)
        #expect(unsafe access(String("\(address)".dropFirst(5)), F_OK) != 0)
        withExtendedLifetime(first) {}
    }
}

/// The lock beside a unix socket's file.
struct ControlLockTests {
    private let path = "/tmp/socketmaster-\(ck_random())-lock"
    private var address: ControlAddress { .unix(path: path) }
    private var lockPath: String { path + ".lock" }

    private func removeFiles() {
        for file in [path, lockPath] { _ = unsafe ck_remove_file(file) }
    }

    private func take() throws(StartFailure) -> ControlLock { try ControlLock(path: path, for: address) }

    @Test func aLockIsTakenOnceAndGivenUpWithItsHolder() throws {
        defer { removeFiles() }
        var first: ControlLock? = try take()
        #expect(first != nil && failure(address)?.exitCode == .temporary)
        first = nil
        _ = try take()
        // It stays: what is left behind disturbs nobody.
        #expect(unsafe access(lockPath, F_OK) == 0)
        _ = try ControlSocket(address)
    }

    @Test func aLockOfAFileThatIsGoneIsNone() throws {
        defer { removeFiles() }
        let first = try take()
        _ = unsafe ck_remove_file(lockPath)
        let second = try take()
        #expect(failure(address)?.exitCode == .temporary)
        withExtendedLifetime((first, second)) {}
    }

    @Test func whatIsNoRegularFileIsNotLocked() throws {
        defer { removeFiles() }
        let make: [(String) -> Int32] = [
            { unsafe symlink("/tmp/socketmaster-target", $0) }, { unsafe mkfifo($0, 0o600) },
            { unsafe mkdir($0, 0o700) }, { ck_close_now(unsafe ck_bind_unix($0, 0o600)) },
        ]
        for make in make {
            #expect(make(lockPath) == 0)
            let failed = failure(address)
            #expect(failed?.exitCode == .cannotCreate && failed?.description.contains(lockPath) == true)
            #expect(unsafe access(path, F_OK) != 0)
            #expect(unsafe unlink(lockPath) == 0 || rmdir(lockPath) == 0)
        }
        #expect(unsafe access("/tmp/socketmaster-target", F_OK) != 0)
    }

    /// Whoever may open it may lock it, and keep everybody from starting.
    @Test func aLockIsForItsOwnerAlone() throws {
        defer { removeFiles() }
        _ = try take()
        var information = stat()
        #expect(unsafe stat(lockPath, &information) == 0 && information.st_mode & 0o777 == 0o600)
    }
}

private func failure(_ address: ControlAddress) -> StartFailure? {
    do throws(StartFailure) {
        _ = try ControlSocket(address)
        return nil
    } catch {
        return error
    }
}
