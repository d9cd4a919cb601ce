import HTTP1
import Testing
import TestSupport

/// Generated requests, valid ones and damaged ones, against the reference parser.
@Suite struct GeneratedRequestTests {
    private static let limits = HeadLimits(headBytes: 1024, fields: 20, targetBytes: 128)

    private static let names = [
        "Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade",
        "Proxy-Authenticate", "Proxy-Authorization", "Expect", "X-Forwarded-For", "X-Forwarded-Proto",
        "X-Forwarded-Host",
        "Accept", "User-Agent", "Cookie", "Trailer", "X-Hop", "A", "Content-Type", "Forwarded", "X_Forwarded_For",
        "X-Forwarded_Host", "x_forwarded-Proto", "Keep_Alive", "Proxy_Connection", "Max-Forwards", "Max_Forwards",
        "Proxy_Authorization",
        "Content_Length",
    ]

    private static let values = [
        "", "close", "keep-alive", "Upgrade, X-Hop", "x-hop", "a", "chunked", "gzip, chunked", "5", "0", "05", "-1",
        "5, 5",
        "9223372036854775807", "9223372036854775808", "a.example", "A.Example.:8000", "[::1]:1", "a..b", "websocket",
        "h2c", "websocket,h2c,foo/1", "H2C/14,x,h2c",
        "100-continue", "trailers", "gzip, trailers", "1.2.3.4, 5.6.7.8", "https", "x y\tz", "te, host, content-length",
        "ä",
        "text/html;q=0.9, */*", ",,close,", "timeout=5", "a:b@c/d?e", "keep_alive, x_forwarded_for, a_b", "identity",
        "chunked, chunked",
    ]

    private static let targets = [
        "/", "/a", "/a/b?c=d", "/a/../b", "/%2e%2e/x", "/a/./b/..", "/%61%2f%2E./c", "/a%", "/%00", "//a//..", "/..",
        "*",
        "http://b.example:81/x/../y", "https://B", "http://u@b/", "http://[::1]?q", "a:443", "[::1]:443", "a:", "a",
        "/ä%C3%A4",
        "/.well-known/a", "/a#b", "/a b", "?", "http:/x", "x+y://h./", "a:0", "a:00080",
        "http://b:0", "http://b?", "/" + String(repeating: "long/", count: 30),
    ]

    private static let specials: [UInt8] = [
        0, 9, 10, 13, 32, 35, 37, 44, 46, 47, 48, 58, 63, 64, 91, 93, 127, 128, 255,
    ]

    private func randomCase(_ text: String, _ random: inout SeededGenerator) -> String {
        switch random.below(4) {
        case 0: return text.lowercased()
        case 1: return String(text.map { random.chance(50) ? Character($0.uppercased()) : Character($0.lowercased()) })
        default: return text
        }
    }

    private func generate(_ random: inout SeededGenerator) -> [UInt8] {
        let method = random.pick([
            "GET", "GET", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "HEAD", "get", "M-SEARCH",
        ])
        let target = random.chance(60) ? "/a/b" : random.pick(Self.targets)
        let version = random.pick(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/1.1 "])
        var text = random.chance(5) ? "\r\n" : ""
        text += "\(method) \(target) \(version)\r\n"
        if random.chance(90) { text += "Host: a.example\r\n" }
        let count = random.chance(5) ? random.below(24) : random.below(6)
        for _ in 0..<count {
            let name = randomCase(random.pick(Self.names), &random)
            let value = randomCase(random.pick(Self.values), &random)
            text += name + random.pick([": ", ":", ":\t ", ": "]) + value + random.pick(["", "", " \t"]) + "\r\n"
        }
        return Array((text + "\r\n").utf8)
    }

    private func damage(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let index = random.below(bytes.count)
        switch random.below(6) {
        case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[index] = random.pick(Self.specials)
        case 2: bytes.insert(random.pick(Self.specials), at: index)
        case 3: bytes.remove(at: index)
        case 4:
            bytes.insert(
                contentsOf: bytes[index..<min(bytes.count, index + random.below(30))], at: random.below(bytes.count))
        default: bytes.removeSubrange(index..<min(bytes.count, index + random.below(10)))
        }
    }

    /// - Returns: what differs, or nil.
    private func difference(_ bytes: [UInt8]) -> String? {
        let scanned = ScannedRequest(bytes: bytes, limits: Self.limits)
        guard let reference = ReferenceRequest(bytes, limits: Self.limits) else {
            return scanned.status == .complete ? "complete without an end" : nil
        }
        if !reference.statuses.isEmpty {
            let isExpected = scanned.status == .refused && reference.statuses.contains(scanned.head.refusal.status)
            return isExpected ? nil : "\(scanned.status) \(scanned.head.refusal), expected \(reference.statuses)"
        }
        guard scanned.status == .complete else { return "\(scanned.status) \(scanned.head.refusal), expected complete" }
        return differenceOfComplete(scanned, reference)
    }

    private func differenceOfComplete(_ scanned: ScannedRequest, _ reference: ReferenceRequest) -> String? {
        if scanned.head.byteCount != reference.byteCount { return "byteCount \(scanned.head.byteCount)" }
        if scanned.text(scanned.head.methodName) != reference.method { return "method" }
        if scanned.buffer.bytes(scanned.head.target) != reference.target { return "target" }
        if scanned.buffer.bytes(scanned.head.host) != reference.host { return "host \(scanned.host)" }
        if Int(scanned.head.minorVersion) != reference.minorVersion { return "version" }
        if scanned.head.framing != reference.framing || scanned.head.contentLength != reference.length {
            return "framing"
        }
        if scanned.head.maxForwards != reference.maxForwards { return "maxForwards" }
        if scanned.head.lacksHost != reference.lacksHost { return "lacksHost" }
        if scanned.head.keepAlive != reference.keepAlive { return "keepAlive" }
        if scanned.head.isUpgrade != reference.isUpgrade { return "isUpgrade" }
        if scanned.path != reference.path { return "path" }
        for isTrusted in [false, true] {
            for host in ["", "192.0.2.1:8000"] {
                let edited = scanned.edited(host: host, isTrusted: isTrusted)
                let expected = reference.edited(address: "192.0.2.7", localHost: host, isTrusted: isTrusted)
                if edited != expected { return "edited:\n\(String(decoding: edited, as: UTF8.self))" }
            }
        }
        return nil
    }

    @Test("generated requests are judged, understood and edited as by the reference", arguments: 0..<8)
    func generated(run: Int) {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var complete = 0
        for _ in 0..<1500 {
            var bytes = generate(&random)
            for _ in 0..<random.pick([0, 0, 1, 1, 2, 4]) { damage(&bytes, &random) }
            let fault = difference(bytes) ?? HTTP1Invariants.check(bytes)
            if let fault {
                Issue.record("seed \(seed): \(fault)\n\(String(decoding: bytes, as: UTF8.self).debugDescription)")
                return
            }
            if ScannedRequest(bytes: bytes, limits: Self.limits).status == .complete { complete += 1 }
        }
        #expect(complete > 100, "seed \(seed): too few valid requests to be of use")
    }

    @Test("every single damaged byte of a request is judged as by the reference")
    func everyByte() {
        let request = Array(
            "POST /a?b HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 5\r\nConnection: close\r\n\r\n".utf8)
        for index in request.indices {
            for byte in Self.specials + [request[index] ^ 0x20, request[index] &+ 1] {
                var bytes = request
                bytes[index] = byte
                #expect(difference(bytes) == nil, "\(String(decoding: bytes, as: UTF8.self).debugDescription)")
            }
        }
    }
}
