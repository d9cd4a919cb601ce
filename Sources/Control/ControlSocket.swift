internal import CKernel
internal import Registration

/// A listening socket that services register at. The file of a unix socket goes with it.
final class ControlSocket {
    /// With the port that it got, if any free one was asked for.
    let address: ControlAddress
    var fd: Int32 { descriptor.fd }
    private let descriptor: OwnedDescriptor
    private let file: SocketFile?

    /// - Throws: a sentence for the operator.
    init(_ address: ControlAddress) throws(StartFailure) {
        switch address {
        case .tcp(let host, let port):
            let fd = listenTCP(host, port: port, backlog: Self.backlog, isFirst: true)
            guard fd >= 0 else { throw Self.failure(address, KernelFailure(fd)) }
            descriptor = OwnedDescriptor(fd)
            file = nil
            self.address = .tcp(host, port: UInt16(clamping: ck_bound_port(fd)))
        case .unix(let path):
            descriptor = OwnedDescriptor(try Self.listenUnix(path, address))
            file = SocketFile(path)
            self.address = address
        }
    }

    deinit {
        // Somebody else may have put another one there since.
        if let file, SocketFile(file.path) == file { _ = unsafe file.path.withCString { unsafe ck_remove_file($0) } }
    }

    /// Registrations come in bursts when many services start, and each is accepted at once.
    private static let backlog = 1024

    /// The file of a proxy that was killed is replaced, anybody else's is not.
    private static func listenUnix(_ path: String, _ address: ControlAddress) throws(StartFailure) -> Int32 {
        let fd = unsafe path.withCString { unsafe ck_listen_unix($0, CInt(backlog)) }
        guard fd < 0 else { return fd }
        guard fd == -EADDRINUSE, SocketFile(path) != nil else { throw failure(address, KernelFailure(fd)) }
        guard unsafe !path.withCString({ unsafe ck_unix_socket_alive($0) }) else {
            throw failure(address, KernelFailure(EADDRINUSE))
        }
        let again = unsafe path.withCString { path in
            unsafe ck_remove_file(path) == 0 ? ck_listen_unix(path, CInt(backlog)) : -EACCES
        }
        guard again >= 0 else { throw failure(address, KernelFailure(again)) }
        return again
    }

    private static func failure(_ address: ControlAddress, _ failure: KernelFailure) -> StartFailure {
        let cannot = "cannot listen on \(address): "
        let reason = KernelText.error(failure.number)
        switch (address, failure.number) {
        case (.unix(let path), EADDRINUSE) where SocketFile(path) == nil:
            return StartFailure(
                .cannotCreate, cannot + "there is a file at that path that is no socket; choose another path.")
        case (_, EADDRINUSE):
            return StartFailure(
                .temporary,
                cannot + "another program does, maybe another socketmaster; stop it or choose another --bind.")
        case (.tcp, EACCES), (.tcp, EPERM):
            return StartFailure(.noPermission, cannot + "\(reason); choose a port above 1023.")
        case (.tcp, EADDRNOTAVAIL):
            return StartFailure(
                .configuration, cannot + "the address is not one of this machine; choose another --bind.")
        case (.unix, EACCES), (.unix, EPERM):
            return StartFailure(.noPermission, cannot + "\(reason); choose a folder that may be written to.")
        case (.unix, ENOENT):
            return StartFailure(.cannotCreate, cannot + "its folder does not exist; make it, or choose another path.")
        case (.unix, _):
            return StartFailure(.cannotCreate, cannot + "\(reason); choose another path.")
        default:
            return StartFailure(.system, cannot + "\(reason).")
        }
    }
}

/// Which file a path names.
private struct SocketFile: Equatable {
    let path: String
    let device: UInt64
    let inode: UInt64

    /// Nil if there is no socket at the path.
    init?(_ path: String) {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        let result = unsafe path.withCString { unsafe ck_socket_file($0, &device, &inode) }
        guard result == 0 else { return nil }
        self.path = path
        self.device = device
        self.inode = inode
    }
}
