internal import CKernel
internal import Registration

/// The sockets of one public address, one for each reactor.
struct ListenerSockets {
    /// With the one that it got, if any free one was asked for.
    let port: UInt16
    /// In the order of the reactors, who own them from the moment they are told.
    let fds: [Int32]
    /// Keeps others from sharing the port as the reactors do.
    private let guardian: OwnedDescriptor?
    private var defersAccept = false

    /// Opens them. The first one is bound alone, so that a port of anybody else is refused, another socketmaster's
    /// included; only then may the others share it.
    /// - Parameters:
    ///   - port: 0 takes any free one.
    ///   - count: of reactors.
    init(_ address: ListenAddress, port: UInt16, backlog: Int, count: Int) throws(KernelFailure) {
        let first = OwnedDescriptor(try Self.openFirst(address, port: port, backlog: backlog))
        self.port = UInt16(truncatingIfNeeded: try checked(ck_bound_port(first.fd)))
        guard count > 1 else {
            fds = [first.giveAway()]
            guardian = nil
            return
        }
        _ = try checked(ck_enable_reuse_port(first.fd))
        let actual = address == .all && ck_is_ipv4(first.fd) ? .ipv4(0) : address
        var sockets = [first]
        while sockets.count < count {
            sockets.append(
                OwnedDescriptor(try checked(listenTCP(actual, port: self.port, backlog: backlog, isFirst: false))))
        }
        guardian = Self.guardian(of: actual, port: self.port)
        fds = sockets.map { $0.giveAway() }
    }

    /// Whether clients are accepted with their first bytes, in one turn of a reactor instead of two. Who says nothing
    /// is accepted after a second.
    mutating func deferAccept(_ defers: Bool) {
        guard defersAccept != defers else { return }
        defersAccept = defers
        // It saves work and decides nothing, so a kernel without it does no harm.
        for fd in fds { _ = ck_defer_accept(fd, defers) }
    }

    /// Nil where there is none: the port is ours nevertheless, only not from programs of our user that want to share.
    private static func guardian(of address: ListenAddress, port: UInt16) -> OwnedDescriptor? {
        guard address != .all else { return nil }
        let (bytes, isIPv4) = socketAddress(address)
        let fd = unsafe ck_guard_port(bytes, isIPv4, port)
        return fd >= 0 ? OwnedDescriptor(fd) : nil
    }

    /// On a machine without IPv6 all addresses are those of IPv4.
    private static func openFirst(
        _ address: ListenAddress, port: UInt16, backlog: Int
    ) throws(KernelFailure) -> Int32 {
        let fd = listenTCP(address, port: port, backlog: backlog, isFirst: true)
        if fd == -EAFNOSUPPORT, address == .all {
            return try checked(listenTCP(.ipv4(0), port: port, backlog: backlog, isFirst: true))
        }
        return try checked(fd)
    }

    /// The sentence for a service whose listener could not be opened.
    static func sentence(_ address: ListenAddress, port: UInt16, _ failure: KernelFailure) -> String {
        let place = port == 0 ? "a port of \(address)" : "port \(port) of \(address)"
        switch failure.number {
        case EADDRINUSE:
            return "\(place.capitalizedFirst) is taken by another program; stop that program or choose another port."
        case EACCES, EPERM:
            return "socketmaster may not listen on \(place); give it CAP_NET_BIND_SERVICE, or choose a port above 1023."
        case EADDRNOTAVAIL:
            return "socketmaster cannot listen on \(place), the address is not one of its machine; "
                + "give one that is, or leave it empty for all addresses."
        case EAFNOSUPPORT:
            return "socketmaster cannot listen on \(place), its machine speaks no IPv6; give an IPv4 address."
        case EMFILE, ENFILE:
            return "socketmaster has no descriptor left for \(place); raise its limit or lower --max-connections."
        default:
            return "socketmaster cannot listen on \(place): \(KernelText.error(failure.number)); try again later."
        }
    }
}

/// Binds a TCP socket and listens. Returns a descriptor, or a negative error number.
/// - Parameter isFirst: whether nobody else may listen there; otherwise it joins a group of ours.
func listenTCP(_ address: ListenAddress, port: UInt16, backlog: Int, isFirst: Bool) -> Int32 {
    let (bytes, isIPv4) = socketAddress(address)
    return unsafe ck_listen(bytes, isIPv4, address == .all, port, CInt(backlog), isFirst)
}

/// 16 bytes in network order; IPv4 lies in the last four of them.
private func socketAddress(_ address: ListenAddress) -> (bytes: [UInt8], isIPv4: Bool) {
    let bytes = address.networkBytes
    return ([UInt8](repeating: 0, count: 16 - bytes.count) + bytes, bytes.count == 4)
}

extension String {
    /// The text with its first letter in upper case, as a sentence begins.
    fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
