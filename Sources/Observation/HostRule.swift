internal import NIOCore

/// Whose name a request may be for. A page of somebody else can let a browser look up its own name as our address, and
/// read what we answer (DNS rebinding). It cannot do so with an address, with `localhost`, or with a name of ours.
struct HostRule: Sendable {
    private let names: Set<String>

    init(names: [String]) {
        self.names = Set((names + ["localhost"]).map { $0.lowercased() })
    }

    /// - Parameter host: the value of the field, with or without a port.
    func allows(_ host: String) -> Bool {
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return false }
            let address = host[host.index(after: host.startIndex)..<end]
            return address.contains(":") && isAddress(address) && isPort(host[host.index(after: end)...])
        }
        let name = host.prefix { $0 != ":" }
        return isPort(host[name.endIndex...]) && (names.contains(name.lowercased()) || isAddress(name))
    }

    private func isAddress(_ text: some StringProtocol) -> Bool {
        (try? SocketAddress(ipAddress: String(text), port: 0)) != nil
    }

    /// Nothing, or a colon and digits.
    private func isPort(_ text: Substring) -> Bool {
        text.isEmpty || text.first == ":" && text.dropFirst().allSatisfy { $0.isASCII && $0.isNumber }
    }
}
