import CKernel
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

    @Test func aPortCanBeOpenedAgainWhenAllItsSocketsAreClosed() throws {
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
        _ = ck_close_now(unsafe ck_listen_unix(path, 1))
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
        let first = try ControlSocket(.unix(path: path))
        _ = unsafe ck_remove_file(path)
        let second = try ControlSocket(.unix(path: path))
        do { let gone = first; _ = gone }
        withExtendedLifetime(first) {}
        #expect(unsafe ck_unix_socket_alive(path))
        withExtendedLifetime(second) {}
    }

    @Test func eachFailureNamesTheAddressAndItsExitCode() throws {
        let taken = try ControlSocket(.tcp(.loopback, port: 0))
        #expect(failure(taken.address)?.exitCode == .temporary)
        #expect(failure(taken.address)?.description.contains("\(taken.address)") == true)
        #expect(failure(.tcp(.ipv4(0xcb00_7105), port: 1))?.exitCode == .configuration)
        #expect(failure(.unix(path: "/nowhere/x"))?.exitCode == .cannotCreate)
    }

    private func failure(_ address: ControlAddress) -> StartFailure? {
        do throws(StartFailure) {
            _ = try ControlSocket(address)
            return nil
        } catch {
            return error
        }
    }
}
