internal import Proxy
internal import Registration

/// Clients whose forwarding fields are believed: a network in CIDR notation.
public struct TrustedNetwork: Equatable, Sendable {
    let network: Network

    /// Reads `10.0.0.0/8` or `2001:db8::/32`; an address alone is a network of one.
    /// - Throws: a sentence that says how to write it.
    public init(parsing text: String) throws(UnusableValue) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let isIPv6 = parts[0].contains(":")
        let bits = isIPv6 ? 128 : 32
        guard let (high, low) = Self.address(String(parts[0])) else {
            throw UnusableValue("a network is an address and a prefix length: 10.0.0.0/8 or 2001:db8::/32")
        }
        var length = bits
        if parts.count == 2 {
            let (digits, rest) = splitNumber(String(parts[1]))
            guard rest.isEmpty, let number = Int(digits), number <= bits else {
                throw UnusableValue("the prefix length is a number from 0 to \(bits)")
            }
            length = number
        }
        network = Network(high: high, low: low, prefixLength: isIPv6 ? length : 96 + length)
        guard (network.high, network.low) == (high, low) else {
            // Whoever means one address must not trust a whole network.
            let first: ListenAddress =
                isIPv6 ? .ipv6(high: network.high, low: network.low) : .ipv4(UInt32(network.low & 0xffff_ffff))
            let name = first.description.filter { $0 != "[" && $0 != "]" }
            throw UnusableValue(
                "it has bits behind its prefix length; write \(name)/\(length) for the network, or \(parts[0]) for the "
                    + "one address")
        }
    }

    /// IPv4 as IPv6 maps it (RFC 4291 §2.5.5.2), because that is how addresses of clients are compared.
    private static func address(_ text: String) -> (high: UInt64, low: UInt64)? {
        // What else a registration may write: nothing, localhost, brackets.
        guard text.contains(":") || text.first?.isNumber == true, !text.hasPrefix("[") else { return nil }
        switch try? ListenAddress(parsing: text) {
        case .ipv4(let value): return (0, 0xffff << 32 | UInt64(value))
        case .ipv6(let high, let low): return (high, low)
        case .all: return (0, 0)
        case nil: return nil
        }
    }
}
