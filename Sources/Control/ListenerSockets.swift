internal import CKernel
internal import Registration

/// The sockets of one public address, one for each reactor.
enum ListenerSockets {
    /// Opens them. The first one is bound alone, so that a port of anybody else is refused, another socketmaster's
    /// included; only then may the others share it.
    /// - Parameter port: 0 takes any free one.
    /// - Returns: the port, and as many descriptors as asked for, which are the caller's.
    static func open(
        _ address: ListenAddress, port: UInt16, backlog: Int, count: Int
    ) throws(KernelFailure) -> (port: UInt16, fds: [Int32]) {
        let first = OwnedDescriptor(try openFirst(address, port: port, backlog: backlog))
        _ = try checked(ck_enable_reuse_port(first.fd))
        let bound = UInt16(truncatingIfNeeded: try checked(ck_bound_port(first.fd)))
        var sockets = [first]
        while sockets.count < count {
            let isIPv4Only = address == .all && ck_is_ipv4(first.fd)
            let fd = listenTCP(
                isIPv4Only ? .ipv4(0) : address, port: bound, backlog: backlog, isFirst: false)
            sockets.append(OwnedDescriptor(try checked(fd)))
        }
        return (bound, sockets.map { $0.giveAway() })
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
    let bytes = address.networkBytes
    let isIPv4 = bytes.count == 4
    // IPv4 lies in the last four bytes.
    let padded = [UInt8](repeating: 0, count: 16 - bytes.count) + bytes
    return unsafe ck_listen(padded, isIPv4, address == .all, port, CInt(backlog), isFirst)
}

extension String {
    /// The text with its first letter in upper case, as a sentence begins.
    fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
