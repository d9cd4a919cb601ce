internal import CKernel
internal import Registration

/// A listening socket that services register at. The file of a unix socket goes with it.
final class ControlSocket {
    /// With the port that it got, if any free one was asked for.
    let address: ControlAddress
    var fd: Int32 { descriptor.fd }
    /// All addresses were asked for, and there are none of IPv6.
    var isIPv4Only: Bool {
        if case .tcp(.all, _) = address { ck_is_ipv4(fd) } else { false }
    }
    /// The service manager has opened it, and keeps it.
    let isPassed: Bool
    private let descriptor: OwnedDescriptor
    private let file: SocketFile?

    /// Given up after the file is removed.
    private let lock: ControlLock?

    /// One that the service manager has opened. Its file is the manager's.
    /// - Throws: a sentence for the operator.
    init(passed: OwnedDescriptor) throws(StartFailure) {
        do {
            address = try ControlAddress(ofListening: passed.fd)
        } catch {
            throw StartFailure(
                .configuration,
                "descriptor \(passed.fd), passed by LISTEN_FDS, has an address that no control address can have: "
                    + "\(error); give ListenStream= with an IP address and a port, or a path.")
        }
        descriptor = passed
        isPassed = true
        (file, lock) = (nil, nil)
    }

    /// - Throws: a sentence for the operator.
    init(_ address: ControlAddress) throws(StartFailure) {
        isPassed = false
        switch address {
        case .tcp(let host, let port):
            let fd = listenFirst(host, port: port, backlog: Self.backlog)
            guard fd >= 0 else { throw StartFailure(cannotListen: host, port: port, KernelFailure(fd)) }
            descriptor = OwnedDescriptor(fd)
            (file, lock) = (nil, nil)
            self.address = .tcp(host, port: UInt16(clamping: ck_bound_port(fd)))
        case .unix(let path, let access):
            let group = try access.group.map { (name) throws(StartFailure) in try Self.groupNumber(name, address) }
            lock = try ControlLock(path: path, for: address)
            descriptor = try Self.bind(path, access, address)
            file = SocketFile(path)
            self.address = address
            try share(path, access, group: group)
            try checkedResult(ck_begin_to_listen(fd, CInt(Self.backlog)))
        case .abstract(let name):
            descriptor = try Self.bindAbstract(name, address)
            (file, lock) = (nil, nil)
            self.address = address
            try checkedResult(ck_begin_to_listen(fd, CInt(Self.backlog)))
        }
    }

    deinit {
        // Somebody else may have put another one there since.
        if let file, SocketFile(file.path) == file { _ = unsafe file.path.withCString { unsafe ck_remove_file($0) } }
    }

    private func checkedResult(_ result: Int32) throws(StartFailure) {
        guard result >= 0 else { throw Self.failure(address, KernelFailure(result)) }
    }

    /// Registrations come in bursts when many services start, and each is accepted at once.
    private static let backlog = 1024

    /// The file of a proxy that was killed is replaced, anybody else's is not.
    private static func bind(
        _ path: String, _ access: SocketAccess, _ address: ControlAddress
    ) throws(StartFailure) -> OwnedDescriptor {
        // With a group it is the owner's alone until it has that.
        let mode = access.group == nil ? access.mode : access.mode & 0o700
        let fd = unsafe path.withCString { unsafe ck_bind_unix($0, mode) }
        guard fd < 0 else { return OwnedDescriptor(fd) }
        guard fd == -EADDRINUSE, SocketFile(path) != nil else { throw failure(address, KernelFailure(fd)) }
        guard unsafe !path.withCString({ unsafe ck_unix_socket_alive($0) }) else {
            throw failure(address, KernelFailure(EADDRINUSE))
        }
        let again = unsafe path.withCString { path in
            unsafe ck_remove_file(path) == 0 ? ck_bind_unix(path, mode) : -EACCES
        }
        guard again >= 0 else { throw failure(address, KernelFailure(again)) }
        return OwnedDescriptor(again)
    }

    private static func bindAbstract(_ name: String, _ address: ControlAddress) throws(StartFailure) -> OwnedDescriptor
    {
        let fd = unsafe "@\(name)".withCString { unsafe ck_bind_unix($0, 0o600) }
        guard fd >= 0 else { throw failure(address, KernelFailure(fd)) }
        return OwnedDescriptor(fd)
    }

    /// Gives the file to its group first, and then that group what it may do: nobody has more in between.
    private func share(_ path: String, _ access: SocketAccess, group: UInt32?) throws(StartFailure) {
        guard let name = access.group, let group else { return }
        let changed = unsafe path.withCString { unsafe ck_set_file_group($0, group) }
        guard changed == 0 else {
            throw StartFailure(
                changed == -EPERM || changed == -EACCES ? .noPermission : .system,
                "cannot give unix:\(path) to the group \(name): \(KernelText.error(changed)); start socketmaster "
                    + "as root or as a member of that group, or choose another group=.")
        }
        try checkedResult(unsafe path.withCString { unsafe ck_set_file_mode($0, access.mode) })
    }

    private static func groupNumber(_ name: String, _ address: ControlAddress) throws(StartFailure) -> UInt32 {
        // The largest number means that there is no change.
        if let number = UInt32(name), number < .max { return number }
        var number = UInt32.max
        let result = unsafe name.withCString { unsafe ck_group_number($0, &number) }
        guard result == 0 else {
            let cannot = "cannot listen on \(address): "
            throw StartFailure(
                .configuration,
                result == -ENOENT
                    ? cannot + "this machine has no group \(name); make it (groupadd), or choose another group=."
                    : cannot + "the group \(name) cannot be looked up: \(KernelText.error(result)); give its number.")
        }
        return number
    }

    private static func failure(_ address: ControlAddress, _ failure: KernelFailure) -> StartFailure {
        let cannot = "cannot listen on \(address): "
        let reason = KernelText.error(failure.number)
        switch (address, failure.number) {
        case (.unix(let path, _), EADDRINUSE) where SocketFile(path) == nil:
            return StartFailure(
                .cannotCreate, cannot + "the path exists and is not a socket; choose another path.")
        case (_, EADDRINUSE):
            return StartFailure(
                .temporary,
                cannot + "the address is in use, perhaps by another socketmaster; stop it or choose another --bind.")
        case (.unix, EACCES), (.unix, EPERM):
            return StartFailure(.noPermission, cannot + "\(reason); choose a folder that may be written to.")
        case (.unix, ENOENT):
            return StartFailure(.cannotCreate, cannot + "its folder does not exist; make it, or choose another path.")
        case (.abstract, EACCES), (.abstract, EPERM):
            return StartFailure(.noPermission, cannot + "\(reason); choose a path, or loopback.")
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
