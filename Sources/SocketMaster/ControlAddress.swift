import Registration

/// Where a proxy takes registrations: its `--bind`.
public struct ControlAddress: Hashable, Sendable {
    enum Place: Hashable {
        case host(String, port: Int)
        case unixDomainSocket(String)
    }

    let place: Place

    /// What the system has room for (unix(7)).
    private static let longestPath = 107

    /// `127.0.0.1:9999`, where a proxy listens unless it is told otherwise.
    public static let standard = ControlAddress.host("127.0.0.1", port: 9999)

    /// A TCP port. The host is an IP address or a name, which is looked up on every attempt to connect.
    public static func host(_ host: String, port: Int) -> ControlAddress {
        ControlAddress(place: .host(host, port: port))
    }

    /// A unix domain socket. A path that begins with `@` is a name of the abstract namespace, which has no file.
    public static func unixDomainSocket(path: String) -> ControlAddress {
        ControlAddress(place: .unixDomainSocket(path))
    }

    /// The host of a TCP port.
    public var host: String? {
        guard case .host(let host, _) = place else { return nil }
        return host
    }

    /// The TCP port.
    public var port: Int? {
        guard case .host(_, let port) = place else { return nil }
        return port
    }

    /// The path of a unix domain socket, or its abstract name behind an `@`.
    public var unixDomainSocketPath: String? {
        guard case .unixDomainSocket(let path) = place else { return nil }
        return path
    }

    /// Reads an address as the proxy's flag `--bind` has it: `HOST:PORT`, `[IPv6]:PORT`, `unix:PATH` or `unix:@NAME`.
    /// - Throws: `SocketMasterError`, of the code `invalidAddress`.
    public init(parsing text: String) throws {
        let shown = text.withoutKeys
        if text.hasPrefix("unix:") {
            let path = String(text.dropFirst("unix:".count))
            let name = path.hasPrefix("@") ? path.dropFirst() : path[...]
            guard !name.isEmpty, !name.utf8.contains(0) else {
                throw SocketMasterError.invalidAddress(
                    "\"\(shown)\" does not name a socket; write unix:PATH or unix:@NAME.")
            }
            guard name.utf8.count <= Self.longestPath else {
                throw SocketMasterError.invalidAddress(
                    "The path or name of a unix socket has \(Self.longestPath) bytes at most.")
            }
            place = .unixDomainSocket(path)
            return
        }
        let hint = "\"\(shown)\" is not an address; write HOST:PORT, [IPV6]:PORT or unix:PATH."
        guard let colon = text.lastIndex(of: ":") else { throw SocketMasterError.invalidAddress(hint) }
        var host = String(text[..<colon])
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            let port = UInt16(digits), port > 0
        else { throw SocketMasterError.invalidAddress(hint) }
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            throw SocketMasterError.invalidAddress(hint)
        }
        guard !host.isEmpty else { throw SocketMasterError.invalidAddress(hint) }
        place = .host(host, port: Int(port))
    }

    private init(place: Place) { self.place = place }
}

extension ControlAddress: CustomStringConvertible {
    /// As `init(parsing:)` reads it.
    public var description: String {
        switch place {
        case .host(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unixDomainSocket(let path): "unix:\(path)"
        }
    }
}
