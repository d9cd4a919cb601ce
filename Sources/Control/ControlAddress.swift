public import Registration

/// Where services dial: a TCP address and port, or a unix socket.
public enum ControlAddress: Hashable, Sendable {
    case tcp(ListenAddress, port: UInt16)
    case unix(path: String, access: SocketAccess = .owner)
    /// A unix socket by a name of the abstract namespace: without a file, and so for every user who shares the network
    /// namespace.
    case abstract(name: String)

    /// `127.0.0.1:9999`, where the original's client library dials.
    public static let standard = ControlAddress.tcp(.loopback, port: 9999)

    /// Reads `ADDRESS:PORT`, `unix:PATH`, `unix:PATH,mode=0660,group=NAME` or `unix:@NAME`. An IPv6 address stands in
    /// brackets; `*` and nothing mean all addresses.
    /// - Throws: a sentence that says how to write it.
    public init(parsing text: String) throws(UnusableValue) {
        if text.hasPrefix("unix:") {
            self = try Self.unix(text.dropFirst(5))
        } else {
            self = try Self.tcp(text)
        }
    }

    /// The address of a socket that somebody else has opened.
    init(ofListening fd: Int32) throws(UnusableValue) {
        let text = KernelText.address(ofListening: fd)
        guard !text.isEmpty else { throw UnusableValue("it has no address, or one that is too long") }
        guard text.hasPrefix("unix:"), !text.hasPrefix("unix:@") else {
            self = try ControlAddress(parsing: text)
            return
        }
        let path = String(text.dropFirst(5))
        self = .unix(path: path, access: SocketAccess(mode: KernelText.permissions(of: path), group: nil))
    }

    /// Whether both name one socket, whoever may connect to it.
    func isSamePlace(as other: ControlAddress) -> Bool {
        if case .unix(let path, _) = self, case .unix(path, _) = other { return true }
        return self == other
    }

    /// Whether other machines may reach it.
    public var isPublic: Bool {
        switch self {
        case .unix, .abstract: false
        case .tcp(.ipv4(let address), _): address >> 24 != 127
        case .tcp(.ipv6(let high, let low), _): high != 0 || low != 1
        case .tcp(.all, _): true
        }
    }

    /// Whether every user of this machine may connect, by the mode of its file or for want of one.
    var isForEverybody: Bool {
        switch self {
        case .unix(_, let access): access.mode & 0o002 != 0
        case .abstract: true
        case .tcp: false
        }
    }

    private static func unix(_ text: Substring) throws(UnusableValue) -> ControlAddress {
        if text.hasPrefix("@") {
            let name = String(text.dropFirst())
            guard (1...maximumPathBytes).contains(name.utf8.count), !name.utf8.contains(0) else {
                throw UnusableValue("the name of an abstract socket, behind the @, has 1 to \(maximumPathBytes) bytes")
            }
            guard !name.contains(",") else {
                throw UnusableValue("an abstract socket has no file, so neither mode= nor group=, and no comma")
            }
            return .abstract(name: name)
        }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        return .unix(path: try checkedPath(String(parts[0])), access: try SocketAccess(parsing: parts.dropFirst()))
    }

    private static func checkedPath(_ path: String) throws(UnusableValue) -> String {
        guard (1...maximumPathBytes).contains(path.utf8.count), !path.utf8.contains(0) else {
            throw UnusableValue("the path of a unix socket has 1 to \(maximumPathBytes) bytes")
        }
        return path
    }

    private static func tcp(_ text: String) throws(UnusableValue) -> ControlAddress {
        guard let colon = text.lastIndex(of: ":") else {
            throw UnusableValue("an address to listen on is ADDRESS:PORT or unix:PATH")
        }
        let host = String(text[..<colon])
        let (digits, rest) = splitNumber(String(text[text.index(after: colon)...]))
        guard rest.isEmpty, let port = UInt16(digits) else {
            throw UnusableValue("a port is a number from 1 to 65535, or 0 for any free one")
        }
        guard !host.contains(":") || host.hasPrefix("[") else {
            throw UnusableValue("an IPv6 address stands in brackets: [::1]:9999")
        }
        do {
            return .tcp(try ListenAddress(toListenOn: host == "*" ? "" : host), port: port)
        } catch {
            throw UnusableValue(error.reasonOfAddress ?? "the address is neither an IP address nor localhost")
        }
    }

    /// What fits into `sun_path`, its final zero left out.
    static let maximumPathBytes = 107
}

extension ControlAddress: CustomStringConvertible {
    /// The address so that it can be given as a flag again.
    public var description: String {
        switch self {
        case .tcp(let address, let port): "\(address):\(port)"
        case .unix(let path, let access): "unix:\(path)\(access)"
        case .abstract(let name): "unix:@\(name)"
        }
    }
}
