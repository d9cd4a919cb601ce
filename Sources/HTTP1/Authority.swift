/// A host with an optional port, as Host and absolute targets carry it (RFC 3986 §3.2, without user information).
///
/// Registered names may hold letters, digits, `-`, `_` and single dots: what services register and resolvers know. The
/// rest of what the grammar allows, percent-encoding above all, would let two programs see two hosts.
struct Authority {
    /// The longest host; DNS allows 253 bytes.
    private static var longestHost: Int { @_noLocks get { 255 } }

    private(set) var isValid = false
    /// Without port and trailing dot; an IPv6 literal keeps its brackets.
    private(set) var host = ByteRange()
    private(set) var hasPort = false
    /// 0 if there are no digits, too.
    private(set) var port = 0

    /// - Precondition: `0 < start <= end <= bytes.count`.
    @_noLocks init(_ bytes: PaddedBytes, from start: Int, to end: Int) {
        if start == end || bytes[start] == Ascii.dot { return }
        let hostEnd =
            bytes[start] == Ascii.leftBracket
            ? Self.endOfLiteral(bytes, from: start, to: end)
            : bytes.endOfName(from: start, to: end)
        if hostEnd == start || hostEnd &- start > Self.longestHost { return }
        hasPort = hostEnd < end
        if hasPort {
            port = Self.port(bytes, from: hostEnd, to: end)
            if port < 0 { return }
        }
        host = ByteRange(start, bytes[hostEnd &- 1] == Ascii.dot ? hostEnd &- 1 : hostEnd)
        isValid = true
    }

    /// Just after the bracket that ends an IPv6 literal, or `start` if that is not one. Zones and literals of future
    /// versions are none.
    @_noLocks private static func endOfLiteral(_ bytes: PaddedBytes, from start: Int, to end: Int) -> Int {
        var index = start &+ 1
        var colons = 0
        while index < end && bytes[index] != Ascii.rightBracket {
            let byte = bytes[index]
            if byte == Ascii.colon { colons &+= 1 }
            if byte != Ascii.colon && byte != Ascii.dot && Ascii.hexValue(byte) == 255 { return start }
            index &+= 1
        }
        // "::" is the shortest address.
        return index < end && colons >= 2 ? index &+ 1 : start
    }

    /// The value of a range that a colon and at most five digits fill, or -1; no digits are valid too.
    @_noLocks private static func port(_ bytes: PaddedBytes, from colon: Int, to end: Int) -> Int {
        if bytes[colon] != Ascii.colon || end &- colon > 6 { return -1 }
        var port = 0
        for index in (colon &+ 1)..<end {
            if !Ascii.isDigit(bytes[index]) { return -1 }
            port = port &* 10 &+ Int(bytes[index] &- Ascii.zero)
        }
        return port <= 65_535 ? port : -1
    }
}
