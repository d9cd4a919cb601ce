/// Where a listener listens, in canonical form: addresses that mean the same are equal.
public enum ListenAddress: Hashable, Sendable {
    /// All addresses of the machine, IPv4 and IPv6 on one socket.
    case all
    /// An IPv4 address, its first octet in the highest bits. 0 is all of IPv4.
    case ipv4(UInt32)
    /// An IPv6 address, the 16 bytes of it in network order. Never the unspecified one (that is `all`) and never one
    /// that maps an IPv4 address.
    case ipv6(high: UInt64, low: UInt64)

    public static let loopback = ListenAddress.ipv4(0x7f00_0001)

    /// Reads an address as services write it: nothing, `localhost`, IPv4, or IPv6 with or without brackets.
    /// Nothing is looked up. `::` is the same as nothing, as it was in the original.
    public init(parsing text: String) throws(RegistrationRefusal) {
        var bytes = Array(text.utf8)
        if bytes.isEmpty {
            self = .all
            return
        }
        if text.lowercased() == "localhost" {
            self = .loopback
            return
        }
        if bytes.count > 2, bytes.first == UInt8(ascii: "["), bytes.last == UInt8(ascii: "]") {
            bytes = Array(bytes[1..<bytes.count - 1])
            guard bytes.contains(UInt8(ascii: ":")) else {
                throw .addressUnknown(text)
            }
        }
        if bytes.contains(UInt8(ascii: "%")) {
            throw .addressScoped(text)
        }
        if let value = parseIPv4(bytes[...]) {
            self = .ipv4(value)
        } else if let (high, low) = parseIPv6(bytes) {
            self = Self.canonical(high: high, low: low)
        } else {
            throw .addressUnknown(text)
        }
    }

    /// Reads an address as `init(parsing:)` does, and refuses those on which no client could ever be served.
    public init(toListenOn text: String) throws(RegistrationRefusal) {
        try self.init(parsing: text)
        if let reason { throw .addressUnusable(text, reason) }
    }

    /// Why nobody can be served there, whatever addresses the machine has.
    private var reason: UnusableAddress? {
        switch self {
        case .all, .ipv4(0): nil
        case .ipv4(.max): .broadcast
        // RFC 1122 §3.2.1.3
        case .ipv4(let address) where address >> 24 == 0: .thisNetwork
        case .ipv4(let address) where address >> 28 == 0xe: .multicast
        case .ipv4: nil
        // RFC 4291 §2.5.6: the same prefix lies behind each interface.
        case .ipv6(let high, _) where high >> 54 == 0x3fa: .linkLocal
        case .ipv6(let high, _) where high >> 56 == 0xff: .multicast
        case .ipv6: nil
        }
    }

    /// Whether some destination of a client belongs to both, so that the two cannot be listened on side by side on
    /// one port. Equal addresses overlap too, but they share one listener.
    public func overlaps(_ other: ListenAddress) -> Bool {
        switch (self, other) {
        case (.all, _), (_, .all): true
        case (.ipv4(let left), .ipv4(let right)): left == right || left == 0 || right == 0
        default: self == other
        }
    }

    /// The address in network order, 4 or 16 bytes, 16 zeros for `all`: what a socket address takes.
    public var networkBytes: [UInt8] {
        switch self {
        case .all: [UInt8](repeating: 0, count: 16)
        case .ipv4(let value): (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
        case .ipv6(let high, let low):
            [high, low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) } }
        }
    }

    private static func canonical(high: UInt64, low: UInt64) -> ListenAddress {
        if high == 0 && low == 0 {
            return .all
        }
        // RFC 4291 §2.5.5.2
        if high == 0 && low >> 32 == 0xffff {
            return .ipv4(UInt32(truncatingIfNeeded: low))
        }
        return .ipv6(high: high, low: low)
    }
}

extension ListenAddress: CustomStringConvertible {
    /// The address as it is written before a colon and a port, `*` for `all`; IPv6 in brackets and as in RFC 5952.
    public var description: String {
        switch self {
        case .all: "*"
        case .ipv4: networkBytes.map { String($0) }.joined(separator: ".")
        case .ipv6: "[\(Self.describeIPv6(networkBytes))]"
        }
    }

    private static func describeIPv6(_ bytes: [UInt8]) -> String {
        let groups = (0..<8).map { UInt16(bytes[2 * $0]) << 8 | UInt16(bytes[2 * $0 + 1]) }
        let zeros = longestZeros(groups)
        func text(_ range: Range<Int>) -> String {
            groups[range].map { String($0, radix: 16) }.joined(separator: ":")
        }
        // RFC 5952 §4.2.2: a single group of zeros is not shortened.
        guard zeros.count > 1 else { return text(0..<8) }
        return text(0..<zeros.lowerBound) + "::" + text(zeros.upperBound..<8)
    }

    /// The longest run of zero groups, the first one of equally long ones (RFC 5952 §4.2.3).
    private static func longestZeros(_ groups: [UInt16]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for index in 0..<8 {
            if groups[index] != 0 {
                start = index + 1
            } else if index + 1 - start > longest.count {
                longest = start..<index + 1
            }
        }
        return longest
    }
}

/// Reads four decimal octets. Leading zeros are refused: some read them as octal.
func parseIPv4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
    let octets = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard octets.count == 4 else { return nil }
    var address: UInt32 = 0
    for octet in octets {
        guard let value = parseDecimal(octet, limit: 255), octet.count == 1 || octet.first != UInt8(ascii: "0") else {
            return nil
        }
        address = address << 8 | UInt32(value)
    }
    return address
}

/// Reads a decimal number without sign, up to and including the limit.
func parseDecimal(_ bytes: ArraySlice<UInt8>, limit: Int) -> Int? {
    guard !bytes.isEmpty else { return nil }
    var value = 0
    for byte in bytes {
        guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        value = value * 10 + Int(byte - UInt8(ascii: "0"))
        guard value <= limit else { return nil }
    }
    return value
}

/// Reads an IPv6 address in any of the forms of RFC 4291 §2.2.
func parseIPv6(_ bytes: [UInt8]) -> (high: UInt64, low: UInt64)? {
    let colon = UInt8(ascii: ":")
    var groups: [UInt16] = []
    var gap: Int?
    var position = 0
    if bytes.starts(with: [colon, colon]) {
        gap = 0
        position = 2
    }
    while position < bytes.count {
        let end = bytes[position...].firstIndex(of: colon) ?? bytes.count
        let part = bytes[position..<end]
        if end == bytes.count, let tail = parseIPv4(part) {
            groups += [UInt16(tail >> 16), UInt16(truncatingIfNeeded: tail)]
            break
        }
        guard let group = parseGroup(part), groups.count < 8 else { return nil }
        groups.append(group)
        position = end
        if position == bytes.count { break }
        position += 1
        if position == bytes.count { return nil }
        if bytes[position] == colon {
            guard gap == nil else { return nil }
            gap = groups.count
            position += 1
        }
    }
    return expand(groups, gap: gap)
}

/// Reads one to four hexadecimal digits.
private func parseGroup(_ bytes: ArraySlice<UInt8>) -> UInt16? {
    guard (1...4).contains(bytes.count) else { return nil }
    var value: UInt16 = 0
    for byte in bytes {
        guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
        value = value << 4 | UInt16(digit)
    }
    return value
}

/// Puts zeros into the gap, which stands for one group at least.
private func expand(_ groups: [UInt16], gap: Int?) -> (high: UInt64, low: UInt64)? {
    var groups = groups
    if let gap {
        guard groups.count < 8 else { return nil }
        groups.insert(contentsOf: [UInt16](repeating: 0, count: 8 - groups.count), at: gap)
    }
    guard groups.count == 8 else { return nil }
    let high = groups[..<4].reduce(0 as UInt64) { $0 << 16 | UInt64($1) }
    let low = groups[4...].reduce(0 as UInt64) { $0 << 16 | UInt64($1) }
    return (high, low)
}
