import Registration
import Testing

private func pattern(_ suffix: String, _ prefix: String = "", port: Int = 8_000) throws(RegistrationRefusal)
    -> RoutePattern
{
    try RoutePattern(.init(domainSuffix: suffix, pathPrefix: prefix), port: port)
}

@Test(arguments: [
    ("", ""), ("example.com", "example.com"), ("Example.COM", "example.com"), ("example.com.", "example.com"),
    (".example.com", ".example.com"), (".Example.com.", ".example.com"), ("com", "com"), ("my_host-1", "my_host-1"),
    ("-a.b-", "-a.b-"), ("127.0.0.1", "127.0.0.1"), ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("example.com:8000", "example.com"), ("example.com.:8000", "example.com"), (":8000", ""), (".x:08000", ".x"),
])
func `suffixes that mean the same are one suffix`(text: String, canonical: String) throws {
    #expect(try pattern(text).domainSuffix == canonical)
}

@Test func `labels and suffixes may be as long as domains are`() throws {
    let label = String(repeating: "a", count: 63)
    let longest = [label, label, label, String(repeating: "a", count: 61)].joined(separator: ".")
    #expect(longest.utf8.count == 253)
    #expect(try pattern(longest).domainSuffix == longest)
    #expect(throws: RegistrationRefusal.domainInvalid(label + "a")) { try pattern(label + "a") }
}

@Test(arguments: [
    ".", "..", "a..b", "..a", "a..", " a", "a b", "a/b", "http://a", "a@b", "a,b", "a\u{0}", "a\n", "a;b",
])
func `what is no domain is refused`(text: String) {
    #expect(throws: RegistrationRefusal.self) { try pattern(text) }
}

@Test func `each mistake in a suffix has its own sentence`() {
    #expect(throws: RegistrationRefusal.domainPort("a:81", registered: 8_000)) { try pattern("a:81") }
    #expect(throws: RegistrationRefusal.domainInvalid("a:")) { try pattern("a:") }
    #expect(throws: RegistrationRefusal.domainInvalid("a:+8000")) { try pattern("a:+8000") }
    #expect(throws: RegistrationRefusal.domainInvalid("a:99999999999999999999")) {
        try pattern("a:99999999999999999999")
    }
    #expect(throws: RegistrationRefusal.domainIsAddress("[::1]")) { try pattern("[::1]") }
    #expect(throws: RegistrationRefusal.domainIsAddress("[::1]:8000")) { try pattern("[::1]:8000") }
    #expect(throws: RegistrationRefusal.domainIsAddress("::1")) { try pattern("::1") }
    #expect(throws: RegistrationRefusal.domainWildcard("*.a")) { try pattern("*.a") }
    #expect(throws: RegistrationRefusal.domainNotASCII("bücher.example")) { try pattern("bücher.example") }
    #expect(throws: RegistrationRefusal.domainInvalid("..")) { try pattern("..") }
    // What stands behind a colon may be no port at all.
    for text in ["https://x.com/", "x.com:", "x.com:a"] {
        #expect(throws: RegistrationRefusal.domainInvalid(text)) { try pattern(text) }
    }
}

@Test(arguments: ["/", "/a", "/a/", "//", "/a b", "/ü", "/%20", "/a?b", "/.", "/..", "/a/.", "/a/..", "/.a/..b/c"])
func `path prefixes are taken as they are`(prefix: String) throws {
    #expect(try pattern("", prefix).pathPrefix == prefix)
}

@Test func `no path prefix and the root are one pattern`() throws {
    #expect(try pattern("", "") == pattern("", "/"))
}

@Test func `prefixes that cannot match are refused`() {
    for prefix in ["a", "*", " /", "a/", "http://a/"] {
        #expect(throws: RegistrationRefusal.pathRelative(prefix)) { try pattern("", prefix) }
    }
    for prefix in ["/./", "/../", "/a/../b", "/a/./", "/a//../"] {
        #expect(throws: RegistrationRefusal.pathDotSegment(prefix)) { try pattern("", prefix) }
    }
}

@Test func `patterns are equal if their bytes are`() throws {
    let composed = try pattern("a", "/\u{e9}")
    let decomposed = try pattern("a", "/e\u{301}")
    #expect(composed.pathPrefix == decomposed.pathPrefix)
    #expect(composed != decomposed)
    #expect(try Set([pattern("A.", "/x"), pattern("a", "/x"), pattern("a", "/X")]).count == 2)
}

@Test func `equal wishes are equal`() throws {
    let one = SocketDefinition(address: "localhost", port: 80, http: .init(domainSuffix: "A.com:80"))
    let other = SocketDefinition(address: "127.0.0.1", port: 80, http: .init(domainSuffix: "a.com."))
    #expect(try CanonicalDefinition(one) == CanonicalDefinition(other))
}

@Test func `a definition is canonical in all its parts`() throws {
    let definition = SocketDefinition(
        address: "[::1]", port: 443, http: .init(domainSuffix: "A.b", pathPrefix: "/x"),
        tls: .init(certificate: [1], key: [2]), attributes: ["name": "api", "reuse-streams": "true", "other": ""])
    let canonical = try CanonicalDefinition(definition)
    #expect(canonical.address == .ipv6(high: 0, low: 1))
    #expect(canonical.port == 443)
    #expect(canonical.pattern?.domainSuffix == "a.b" && canonical.pattern?.pathPrefix == "/x")
    #expect(canonical.tls == definition.tls)
    #expect(canonical.reusesStreams && canonical.name == "api")
    let raw = try CanonicalDefinition(SocketDefinition(port: 0))
    #expect(raw.pattern == nil && raw.tls == nil && raw.attributes == nil && raw.port == 0 && !raw.reusesStreams)
}

@Test func `half a TLS identity and impossible ports are refused`() {
    func refusal(_ definition: SocketDefinition) -> RegistrationRefusal? {
        do throws(RegistrationRefusal) {
            _ = try CanonicalDefinition(definition)
            return nil
        } catch {
            return error
        }
    }
    #expect(refusal(SocketDefinition(port: 1, tls: .init(certificate: [], key: [1]))) == .certificateMissing)
    #expect(refusal(SocketDefinition(port: 1, tls: .init(certificate: [1], key: []))) == .keyMissing)
    #expect(refusal(SocketDefinition(port: -1)) == .portOutOfRange(-1))
    #expect(refusal(SocketDefinition(port: 65_536)) == .portOutOfRange(65_536))
}

@Test func `every refusal is a bounded printable sentence`() {
    let nasty = String(repeating: "\n\u{1b}[31m\u{202e}\"\\é\u{10ffff}", count: 1_000)
    let refusals: [RegistrationRefusal] =
        RegistrationRefusal.Field.allCases.map { .length($0, announced: .min, limit: 5) }
        + UnusableAddress.allCases.map { .addressUnusable(nasty, $0) }
        + [
            .attributeCount(announced: .min), .attributeRepeated(name: nasty), .notUTF8(.key), .portOutOfRange(.min),
            .unknownFlags(0xf8), .addressUnknown(nasty), .addressScoped(nasty), .domainIsAddress(nasty),
            .domainPort(nasty, registered: 65_535), .domainWildcard(nasty), .domainNotASCII(nasty),
            .domainInvalid(nasty),
            .pathRelative(nasty), .pathDotSegment(nasty), .certificateMissing, .keyMissing,
        ]
    for refusal in refusals {
        let sentence = refusal.description
        #expect(sentence.utf8.count < RegistrationLimits.statusBytes)
        #expect(sentence.utf8.allSatisfy { (0x20...0x7e).contains($0) }, "\(sentence)")
        #expect(sentence.hasSuffix(".") && sentence.first!.isUppercase, "\(sentence)")
    }
}

@Test func `the client's address is told on raw streams, for any value that is not a no`() throws {
    for (value, isWanted) in [("proxy-v2", true), ("true", true), ("false", false), ("", false)] {
        let attributes = ["client-address": value]
        let raw = try CanonicalDefinition(SocketDefinition(port: 1, attributes: attributes))
        #expect(raw.wantsClientAddress == isWanted)
        let http = try CanonicalDefinition(SocketDefinition(port: 1, http: .init(), attributes: attributes))
        #expect(!http.wantsClientAddress)
    }
    #expect(try !CanonicalDefinition(SocketDefinition(port: 1)).wantsClientAddress)
}
