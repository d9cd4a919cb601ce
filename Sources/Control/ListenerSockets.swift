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
    /// All addresses were asked for, and there are none of IPv6.
    let isIPv4Only: Bool

    /// Opens them. The first one is bound alone, so that a port of anybody else is refused, another socketmaster's
    /// included; only then may the others share it.
    /// - Parameters:
    ///   - port: 0 takes any free one.
    ///   - count: of reactors.
    init(_ address: ListenAddress, port: UInt16, backlog: Int, count: Int) throws(KernelFailure) {
        let first = OwnedDescriptor(try checked(listenFirst(address, port: port, backlog: backlog)))
        isIPv4Only = address == .all && ck_is_ipv4(first.fd)
        self.port = UInt16(truncatingIfNeeded: try checked(ck_bound_port(first.fd)))
        guard count > 1 else {
            fds = [first.giveAway()]
            guardian = nil
            return
        }
        _ = try checked(ck_enable_reuse_port(first.fd))
        let actual = isIPv4Only ? ListenAddress.ipv4(0) : address
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

    /// What the log adds to such an address.
    static let ipv4Only = ", by IPv4 alone: there is no IPv6 here"

    /// The sentence for a service whose listener could not be opened.
    static func sentence(_ address: ListenAddress, port: UInt16, _ failure: KernelFailure) -> String {
        let place = port == 0 ? "a port of \(address)" : "port \(port) of \(address)"
        switch failure.number {
        case EADDRINUSE:
            return "\(place.capitalizedFirst) is taken by another program; stop that program or choose another port."
        case EACCES, EPERM:
            guard port == 0 || port > 1023 else {
                return "socketmaster may not listen on \(place); "
                    + "give socketmaster CAP_NET_BIND_SERVICE, or choose a port above 1023."
            }
            return "socketmaster may not listen on \(place), most likely by a seccomp filter or another policy of its "
                + "machine; choose another port, or allow it there."
        case EADDRNOTAVAIL:
            return
                "socketmaster cannot listen on \(place), the address is not one of its machine\(address.hintOfIPv6); "
                + "give one that is, or leave it empty for all addresses."
        case EAFNOSUPPORT, EPROTONOSUPPORT:
            let (missing, other) = address.isIPv6 ? ("IPv6", "IPv4") : ("IPv4", "IPv6")
            return "socketmaster cannot listen on \(place), its machine has no \(missing); give an \(other) address."
        case EINVAL:
            return "socketmaster cannot listen on \(place), the kernel takes no such address; "
                + "give another one, or leave it empty for all addresses."
        case EMFILE, ENFILE:
            return "socketmaster has no descriptor left for \(place); raise its limit or lower --max-connections."
        case ENOMEM, ENOBUFS:
            return "socketmaster cannot listen on \(place): \(KernelText.error(failure.number)); try again later."
        default:
            return "socketmaster cannot listen on \(place): \(KernelText.error(failure.number)); "
                + "choose another address or port."
        }
    }
}

extension StartFailure {
    /// Why a control address of TCP cannot be had.
    /// - Parameters:
    ///   - flag: what has named the address.
    ///   - way: what else that flag takes, as a clause.
    init(
        cannotListen address: ListenAddress, port: UInt16, _ failure: KernelFailure, flag: String = "--bind",
        else way: String = "give --bind a unix socket"
    ) {
        let cannot = "cannot listen on \(address):\(port): "
        let reason = KernelText.error(failure.number)
        switch failure.number {
        case EADDRINUSE:
            self.init(
                .temporary,
                cannot + "the address is in use, perhaps by another socketmaster; stop it or choose another \(flag).")
        case EACCES, EPERM:
            let remedy =
                port == 0 || port > 1023
                ? "a seccomp filter or another policy of this machine forbids it; allow it, or \(way)"
                : "choose a port above 1023, or give socketmaster CAP_NET_BIND_SERVICE"
            self.init(.noPermission, cannot + "\(reason); \(remedy).")
        case EADDRNOTAVAIL:
            let what = "the address is not one of this machine\(address.hintOfIPv6)"
            self.init(.configuration, cannot + "\(what); choose another \(flag).")
        case EAFNOSUPPORT, EPROTONOSUPPORT:
            guard address != .all else {
                let remedy = "allow AF_INET, or \(way)"
                self.init(.configuration, cannot + "there is neither IPv6 nor IPv4 here; \(remedy).")
                return
            }
            let (missing, other) = address.isIPv6 ? ("IPv6", "127.0.0.1:9999") : ("IPv4", "[::1]:9999")
            let remedy = "give \(flag) an address of the other kind (\(other)), or \(way)"
            self.init(.configuration, cannot + "this machine has no \(missing); \(remedy).")
        case EINVAL:
            self.init(.configuration, cannot + "the kernel takes no such address; choose another \(flag).")
        default:
            self.init(.system, cannot + "\(reason); choose another \(flag).")
        }
    }
}

extension ListenAddress {
    fileprivate var isIPv6: Bool {
        if case .ipv6 = self { true } else { false }
    }

    /// Switched off by the sysctl, IPv6 is there and has no addresses.
    fileprivate var hintOfIPv6: String {
        let path = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
        guard isIPv6, KernelText.number(inFile: path) == 1 else { return "" }
        return ", where IPv6 is switched off (sysctl net.ipv6.conf.all.disable_ipv6)"
    }
}

/// Binds a TCP socket where nobody else may listen. Where there is no IPv6, all addresses are those of IPv4. Returns a
/// descriptor, or a negative error number.
func listenFirst(_ address: ListenAddress, port: UInt16, backlog: Int) -> Int32 {
    let fd = listenTCP(address, port: port, backlog: backlog, isFirst: true)
    // Not built in, switched off, or forbidden by a filter: if that was not the reason, IPv4 fails by it as well.
    let missing = [-EAFNOSUPPORT, -EPROTONOSUPPORT, -EADDRNOTAVAIL, -EPERM, -EACCES]
    guard address == .all, missing.contains(fd) else { return fd }
    return listenTCP(.ipv4(0), port: port, backlog: backlog, isFirst: true)
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
