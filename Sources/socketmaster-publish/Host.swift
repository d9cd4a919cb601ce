internal import Glibc
internal import NIOCore
internal import Registration
internal import SocketMaster

/// What can be known of hosts: which addresses a name stands for, and which of them are this machine's. Looking a name
/// up may take its time.
enum Host {
    /// The addresses that are meant when somebody connects to a host.
    static func addresses(of host: String) -> Set<ListenAddress> {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &first) == 0 else { return [] }
        defer { unsafe freeaddrinfo(first) }
        var addresses: Set<ListenAddress> = []
        var next = unsafe first
        // The list is the C library's, and lives until it is freed above.
        while let entry = unsafe next {
            if let text = unsafe text(entry.pointee.ai_addr, entry.pointee.ai_addrlen), let address = parsed(text) {
                addresses.insert(address)
            }
            unsafe next = entry.pointee.ai_next
        }
        return addresses
    }

    private static func text(_ address: UnsafePointer<sockaddr>?, _ length: socklen_t) -> String? {
        guard let address = unsafe address else { return nil }
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let result = unsafe getnameinfo(address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        guard result == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// An address without its interface; the unspecified ones stand for loopback, as they do for who connects.
    private static func parsed(_ text: String) -> ListenAddress? {
        let plain = String(text.prefix { $0 != "%" })
        switch try? ListenAddress(parsing: plain) {
        case .all: return .ipv6(high: 0, low: 1)
        case .ipv4(0): return .loopback
        case let address: return address
        }
    }

    /// The addresses of this machine's interfaces.
    static func own() -> Set<ListenAddress> {
        let devices = (try? System.enumerateDevices()) ?? []
        return Set(devices.compactMap { $0.address?.ipAddress.flatMap(parsed) })
    }

    static func isLoopback(_ address: ListenAddress) -> Bool {
        switch address {
        case .ipv4(let value): value >> 24 == 127
        case .ipv6(0, 1): true
        default: false
        }
    }

    /// Whether a unix socket is listened on in other network namespaces than ours: by a program outside of a container.
    /// Then its ports are not ours either. What cannot be known is taken for the same.
    static func isForeign(socket path: String) -> Bool {
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard fd >= 0 else { return false }
        defer { close(fd) }
        guard let address = try? SocketAddress(unixDomainSocketPath: path) else { return false }
        let isConnected = unsafe address.withSockAddr { unsafe connect(fd, $0, socklen_t($1)) == 0 }
        // The number of its process, its user and its group (unix(7)).
        var peer: [Int32] = [0, 0, 0]
        var length = socklen_t(12)
        guard isConnected, unsafe getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 else { return false }
        // A process that we cannot see has the number 0.
        guard peer[0] != 0 else { return true }
        var (ours, theirs) = (stat(), stat())
        guard unsafe stat("/proc/self/ns/net", &ours) == 0, unsafe stat("/proc/\(peer[0])/ns/net", &theirs) == 0
        else { return false }
        return ours.st_ino != theirs.st_ino
    }

    /// Whether two paths are one socket.
    static func isSameFile(_ path: String, _ other: String) -> Bool {
        if path == other { return true }
        var (one, two) = (stat(), stat())
        guard unsafe stat(path, &one) == 0, unsafe stat(other, &two) == 0 else { return false }
        return one.st_dev == two.st_dev && one.st_ino == two.st_ino
    }
}
