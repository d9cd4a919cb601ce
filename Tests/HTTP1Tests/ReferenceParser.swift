import HTTP1

/// A second reading of requests: slow, with lists and strings, each rule by itself.
///
/// It judges whole heads and collects everything that is wrong with them, where the scanner stops at the first fault:
/// the scanner's status has to be among the reference's, and a head without faults has to be understood in the same
/// way.
struct ReferenceRequest {
    var statuses: Set<UInt16> = []
    var byteCount = 0
    var method = ""
    var target: [UInt8] = []
    var minorVersion = 0
    var fields: [(name: [UInt8], rest: [UInt8])] = []
    var host: [UInt8] = []
    var framing = BodyFraming.none
    var length: UInt64 = 0

    private static let digits = Set("0123456789".utf8)
    private static let tokenBytes = Set(
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".utf8)
    private static let hostBytes = Set("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._".utf8)

    /// - Returns: nil if the bytes hold no whole head.
    init?(_ bytes: [UInt8], limits: HeadLimits) {
        var start = 0
        while bytes.dropFirst(start).starts(with: [13, 10]) { start += 2 }
        if start > 8 { statuses.insert(400) }
        guard let end = Self.end(of: bytes, from: start) else { return nil }
        byteCount = end
        if end > limits.headBytes { statuses.insert(431) }
        let head = Array(bytes[start..<end])
        if Self.hasBadControl(head) { statuses.insert(400) }
        var lines = Self.lines(head)
        lines.removeLast()
        readRequestLine(lines.removeFirst(), limits)
        for line in lines { readField(line) }
        if fields.count > limits.fields { statuses.insert(431) }
        readHost()
        readFraming()
        readConnection()
    }

    private static func end(of bytes: [UInt8], from start: Int) -> Int? {
        guard bytes.count >= start + 4 else { return nil }
        return (start...(bytes.count - 4)).first { bytes[$0..<($0 + 4)].elementsEqual([13, 10, 13, 10]) }.map { $0 + 4 }
    }

    private static func hasBadControl(_ head: [UInt8]) -> Bool {
        for (index, byte) in head.enumerated() {
            if byte == 13 && (index + 1 == head.count || head[index + 1] != 10) { return true }
            if byte == 10 && (index == 0 || head[index - 1] != 13) { return true }
            if byte < 32 && byte != 9 && byte != 10 && byte != 13 || byte == 127 { return true }
        }
        return false
    }

    /// The lines between CRLFs; the last one, empty, ends the head.
    private static func lines(_ head: [UInt8]) -> [[UInt8]] {
        var lines: [[UInt8]] = [[]]
        var index = 0
        while index < head.count - 2 {
            if head[index...].starts(with: [13, 10]) {
                lines.append([])
                index += 2
            } else {
                lines[lines.count - 1].append(head[index])
                index += 1
            }
        }
        return lines
    }

    static func trim(_ bytes: some Collection<UInt8>) -> [UInt8] {
        let start = bytes.drop { $0 == 32 || $0 == 9 }
        return start.reversed().drop { $0 == 32 || $0 == 9 }.reversed()
    }

    static func lower(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: bytes.map { (65...90).contains($0) ? $0 + 32 : $0 }, as: UTF8.self)
    }

    static func members(_ list: [UInt8]) -> [String] {
        list.split(separator: UInt8(ascii: ",")).map { lower(trim($0)) }.filter { !$0.isEmpty }
    }

    // MARK: Request line

    private mutating func readRequestLine(_ line: [UInt8], _ limits: HeadLimits) {
        if line.prefix(while: Self.tokenBytes.contains).count > 32 { statuses.insert(501) }
        let parts = line.split(separator: 32, omittingEmptySubsequences: false)
        if parts.count > 1 && parts[1].count > limits.targetBytes { statuses.insert(414) }
        if parts.count > 2 { readVersion(String(decoding: parts[2], as: UTF8.self)) }
        guard parts.count == 3, !parts[0].isEmpty, !parts[1].isEmpty else {
            statuses.insert(400)
            return
        }
        if !parts[0].allSatisfy(Self.tokenBytes.contains) { statuses.insert(400) }
        if parts[1].contains(where: { $0 < 33 || $0 == 127 || $0 == UInt8(ascii: "#") }) { statuses.insert(400) }
        method = String(decoding: parts[0], as: UTF8.self)
        target = Array(parts[1])
        if authorityOfTarget == nil && !hasPlainForm { statuses.insert(400) }
    }

    private mutating func readVersion(_ version: String) {
        let bytes = Array(version.utf8)
        let isVersion =
            bytes.count >= 8 && version.hasPrefix("HTTP/") && (48...57).contains(bytes[5]) && bytes[6] == 46
            && (48...57).contains(bytes[7])
        if isVersion && bytes[5] != 49 { statuses.insert(505) }
        if !isVersion || bytes.count > 8 { statuses.insert(400) }
        minorVersion = isVersion && bytes[7] == 48 ? 0 : 1
    }

    private var hasPlainForm: Bool {
        if method == "CONNECT" {
            // An authority with a port: digits behind the last colon.
            let port = target.reversed().prefix { (48...57).contains($0) }.count
            let hasPort = port > 0 && target.dropLast(port).last == 58 && target.suffix(port).contains { $0 != 48 }
            return hasPort && Self.host(inAuthority: target) != nil
        }
        return target.first == 47 || target == [42] && method == "OPTIONS"
    }

    /// The authority of an absolute target, nil for other targets.
    var authorityOfTarget: [UInt8]? {
        let text = target
        guard method != "CONNECT", let colon = text.firstIndex(of: 58), colon > 0 else { return nil }
        let scheme = text[..<colon]
        let isLetter = { (byte: UInt8) in (65...90).contains(byte) || (97...122).contains(byte) }
        let isScheme =
            isLetter(scheme[0])
            && scheme.allSatisfy { isLetter($0) || (48...57).contains($0) || [43, 45, 46].contains($0) }
        guard isScheme, text[(colon + 1)...].starts(with: [47, 47]) else { return nil }
        let authority = Array(text[(colon + 3)...].prefix { $0 != 47 && $0 != 63 })
        return Self.host(inAuthority: authority) == nil ? nil : authority
    }

    /// What Host says whatever the client wrote there.
    var newHost: [UInt8]? { method == "CONNECT" ? target : authorityOfTarget }

    /// Whether an old client names no host, so that somebody else has to.
    var lacksHost: Bool { minorVersion == 0 && newHost == nil && (values("host").first ?? []).isEmpty }

    /// The host of `host[:port]`, nil if it is none.
    static func host(inAuthority authority: [UInt8]) -> [UInt8]? {
        var host = authority
        var port: [UInt8] = []
        let lastColon = authority.lastIndex(of: 58)
        if let colon = lastColon, authority.first != 91 || authority.lastIndex(of: 93).map({ $0 < colon }) ?? false {
            host = Array(authority[..<colon])
            port = Array(authority[(colon + 1)...])
        }
        guard port.count <= 5, port.allSatisfy(digits.contains) else { return nil }
        guard port.isEmpty || Int(String(decoding: port, as: UTF8.self))! <= 65_535 else { return nil }
        guard host.count <= 255 else { return nil }
        return host.first == 91 ? literal(host) : name(host)
    }

    private static func literal(_ host: [UInt8]) -> [UInt8]? {
        guard host.last == 93, host.count >= 4 else { return nil }
        let inner = host.dropFirst().dropLast()
        let allowed = Set("0123456789abcdefABCDEF:.".utf8)
        return inner.allSatisfy(allowed.contains) && inner.count(where: { $0 == 58 }) >= 2 ? host : nil
    }

    private static func name(_ host: [UInt8]) -> [UInt8]? {
        guard !host.isEmpty, host.allSatisfy(hostBytes.contains) else { return nil }
        var labels = host.split(separator: 46, omittingEmptySubsequences: false)
        if labels.count > 1 && labels.last!.isEmpty { labels.removeLast() }
        return labels.allSatisfy { !$0.isEmpty } ? Array(labels.joined(separator: [46])) : nil
    }

    // MARK: Fields

    private mutating func readField(_ line: [UInt8]) {
        guard let colon = line.firstIndex(of: 58), colon > 0, line[..<colon].allSatisfy(Self.tokenBytes.contains) else {
            statuses.insert(400)
            return
        }
        fields.append((Array(line[..<colon]), Array(line[(colon + 1)...])))
    }

    func values(_ name: String) -> [[UInt8]] {
        fields.filter { Self.kind($0.name) == name }.map { Self.trim($0.rest) }
    }

    /// A name as a proxy has to read it: `_` is taken for `-` where that gives a name that it acts on.
    static func kind(_ name: some Collection<UInt8>) -> String {
        let folded = lower(name).replacing("_", with: "-")
        guard foldable.contains(folded) else { return lower(name) }
        // What only becomes it never passes.
        return folded == "proxy-authorization" && folded != lower(name) ? "proxy-connection" : folded
    }

    func options(_ name: String) -> [String] { values(name).flatMap(Self.members) }

    private mutating func readHost() {
        let hosts = values("host")
        if hosts.count > 1 || hosts.isEmpty && minorVersion == 1 { statuses.insert(400) }
        for value in hosts where !value.isEmpty && Self.host(inAuthority: value) == nil { statuses.insert(400) }
        let authority = newHost ?? hosts.first ?? []
        host = Self.host(inAuthority: authority) ?? []
    }

    private mutating func readFraming() {
        for field in fields where field.name.contains(95) {
            let folded = Self.lower(field.name).replacing("_", with: "-")
            if ["content-length", "transfer-encoding"].contains(folded) { statuses.insert(400) }
        }
        let lengths = values("content-length")
        for value in lengths {
            let digits = String(decoding: value, as: UTF8.self)
            if !value.allSatisfy(Self.digits.contains) || Int64(digits) == nil { statuses.insert(400) }
        }
        let numbers = Set(lengths.map { UInt64(String(decoding: $0, as: UTF8.self)) })
        if numbers.count > 1 { statuses.insert(400) }
        let codings = values("transfer-encoding")
        if codings.count > 1 || !codings.isEmpty && (minorVersion == 0 || !lengths.isEmpty) { statuses.insert(400) }
        for coding in codings where Self.lower(coding) != "chunked" { statuses.formUnion([400, 501]) }
        length = numbers.first.flatMap { $0 } ?? 0
        framing = !codings.isEmpty ? .chunked : length > 0 ? .counted : .none
    }

    private static let known: Set<String> = [
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "upgrade",
        "proxy-authenticate", "proxy-authorization", "expect", "x-forwarded-for", "x-forwarded-proto",
        "x-forwarded-host",
        "close",
    ]

    private static let foldable = Set(known.filter { $0.contains("-") }).subtracting([
        "content-length", "transfer-encoding",
    ])

    /// The fields that Connection takes away.
    var named: [String] {
        options("connection").filter { !Self.known.contains($0) && !Self.known.contains($0.replacing("_", with: "-")) }
    }

    private mutating func readConnection() { if named.count > 16 { statuses.insert(431) } }

    var keepAlive: Bool {
        let options = options("connection")
        return !options.contains("close") && (minorVersion == 1 || options.contains("keep-alive"))
    }

    var isUpgrade: Bool {
        options("connection").contains("upgrade") && options("upgrade").contains { !Self.isClearTextHTTP2($0) }
            && minorVersion == 1 && method != "CONNECT"
    }

    static func isClearTextHTTP2(_ option: String) -> Bool { option == "h2c" || option.hasPrefix("h2c/") }
}
