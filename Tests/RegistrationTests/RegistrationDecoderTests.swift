import Registration
import Testing
import TestSupport

/// Registrations of every shape, with what the original's client sends for the first ones written by hand.
private let samples: [(bytes: [UInt8], definition: SocketDefinition)] = [
    (
        // SocketDefinition{Port: 5432}
        [0, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0x15, 0x38] + [0],
        SocketDefinition(port: 5_432)
    ),
    (
        // SocketDefinition{Port: 8000, HTTP: &SocketHTTPDefinition{PathPrefix: "/a"}}
        [0, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0x1f, 0x40] + [1]
            + [0, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 2] + [0x2f, 0x61],
        SocketDefinition(port: 8_000, http: .init(pathPrefix: "/a"))
    ),
    (
        // SocketDefinition{Address: "::1", Port: 443, HTTP: {"x.y", ""}, TLS: {"C", "K"}}
        [0, 0, 0, 0, 0, 0, 0, 3] + [0x3a, 0x3a, 0x31] + [0, 0, 0, 0, 0, 0, 1, 0xbb] + [3]
            + [0, 0, 0, 0, 0, 0, 0, 3] + [0x78, 0x2e, 0x79] + [0, 0, 0, 0, 0, 0, 0, 0]
            + [0, 0, 0, 0, 0, 0, 0, 1] + [0x43] + [0, 0, 0, 0, 0, 0, 0, 1] + [0x4b],
        SocketDefinition(
            address: "::1", port: 443, http: .init(domainSuffix: "x.y"), tls: .init(certificate: [0x43], key: [0x4b]))
    ),
    (
        opening(flags: 2) + string("") + string(""),
        SocketDefinition(port: 8_000, tls: .init(certificate: [], key: []))
    ),
    (
        opening(flags: 4) + integer(0),
        SocketDefinition(port: 8_000, attributes: [:])
    ),
    (
        opening(flags: 5) + string("é.org") + string("/ü") + integer(2) + string("a") + string("1") + string("")
            + string(""),
        SocketDefinition(
            port: 8_000, http: .init(domainSuffix: "é.org", pathPrefix: "/ü"), attributes: ["a": "1", "": ""])
    ),
]

@Test(arguments: samples.indices)
func `a registration is read in pieces of any size and nothing behind it is touched`(index: Int) {
    let (bytes, definition) = samples[index]
    // The first bytes of a session may be in the same segment.
    let behind: [UInt8] = [0, 1, 0, 1, 0, 0, 0, 0]
    for pieces in 1...bytes.count + behind.count {
        var decoder = RegistrationDecoder()
        #expect(decoder.receive(bytes + behind, pieces: pieces) == bytes.count)
        #expect(decoder.state == .complete(definition))
        #expect(decoder.wantsAttributes == (definition.attributes != nil))
        #expect(decoder.receive(behind.span) == 0)
    }
}

@Test(arguments: samples.indices)
func `a registration is read whatever two pieces it comes in`(index: Int) {
    let (bytes, definition) = samples[index]
    for border in 0...bytes.count {
        var decoder = RegistrationDecoder()
        let head = Array(bytes[..<border])
        let tail = Array(bytes[border...])
        #expect(decoder.receive(head.span) == head.count)
        #expect((decoder.state == .needsMore) == (border < bytes.count))
        #expect(decoder.receive(tail.span) == tail.count)
        #expect(decoder.state == .complete(definition))
    }
}

@Test(arguments: samples.indices)
func `what the client library writes is what the proxy reads`(index: Int) {
    let definition = samples[index].definition
    #expect(decoded(definition.encoded()) == .complete(definition))
}

@Test func `definitions without a map of several attributes are encoded byte for byte as the original does`() {
    for (bytes, definition) in samples where (definition.attributes?.count ?? 0) < 2 {
        #expect(definition.encoded() == bytes)
    }
}

/// What comes before the length of each field, the field, and its bound.
private let bounds: [(before: [UInt8], field: RegistrationRefusal.Field, limit: Int)] = [
    ([], .address, 255),
    (opening(flags: 1), .domainSuffix, 253),
    (opening(flags: 1) + string(""), .pathPrefix, 8_192),
    (opening(flags: 2), .certificate, 1_048_576),
    (opening(flags: 2) + string("c"), .key, 1_048_576),
    (opening(flags: 4) + integer(1), .attributeName, 4_096),
    // Name and value share one bound.
    (opening(flags: 4) + integer(1) + string("name"), .attributeValue, 4_092),
]

@Test(arguments: bounds.indices)
func `a length is refused as soon as it is there if it is out of bounds`(index: Int) {
    let (before, field, limit) = bounds[index]
    for announced in [limit + 1, -1, .min, .max, 1 << 32, 1 << 62, -(1 << 32)] {
        for pieces in [1, 1_000] {
            var decoder = RegistrationDecoder()
            let bytes = before + integer(announced)
            #expect(decoder.receive(bytes + [1, 2, 3], pieces: pieces) == bytes.count)
            #expect(decoder.state == .refused(.length(field, announced: announced, limit: limit)))
            #expect(decoder.bufferedBytes == 0)
        }
    }
}

@Test(arguments: bounds.indices)
func `a field of the greatest length is accepted, and memory follows what has arrived`(index: Int) {
    let (before, _, limit) = bounds[index]
    var decoder = RegistrationDecoder()
    _ = decoder.receive(before, pieces: 1)
    let length = integer(limit)
    _ = decoder.receive(length.span)
    #expect(decoder.state == .needsMore)
    #expect(decoder.bufferedBytes < 256)
    let content = [UInt8](repeating: 0x61, count: limit)
    var sent = 0
    while sent < limit {
        let piece = Array(content[sent..<min(sent + 16_384, limit)])
        #expect(decoder.receive(piece.span) == piece.count)
        sent += piece.count
        #expect(decoder.bufferedBytes <= 2 * (before.count + sent) + 16_384)
    }
    if case .refused(let reason) = decoder.state {
        Issue.record("refused: \(reason)")
    }
}

@Test func `ports are those that there are`() {
    for port in [0, 1, 65_535] {
        #expect(decoded(opening(port: port, flags: 0)) == .complete(SocketDefinition(port: port)))
    }
    for port in [-1, 65_536, .min, .max] {
        #expect(decoded(opening(port: port, flags: 0)) == .refused(.portOutOfRange(port)))
    }
}

@Test func `unknown flags are refused and named`() {
    for flags in UInt8(8)...255 {
        #expect(decoded(opening(flags: flags)) == .refused(.unknownFlags(flags & 0xf8)))
    }
    var decoder = RegistrationDecoder()
    _ = decoder.receive(opening(flags: 0x84), pieces: 1)
    // Whoever has set that bit waits for attributes behind the refusal.
    #expect(decoder.wantsAttributes)
}

@Test func `attributes are bounded in number and each is given once`() {
    func registration(_ count: Int) -> [UInt8] {
        opening(flags: 4) + integer(count) + (0..<max(0, min(count, 100))).flatMap { string("n\($0)") + string("v") }
    }
    let expected = Dictionary(uniqueKeysWithValues: (0..<64).map { ("n\($0)", "v") })
    #expect(decoded(registration(64)) == .complete(SocketDefinition(port: 8_000, attributes: expected)))
    for count in [65, -1, .min, .max] {
        #expect(decoded(registration(count)) == .refused(.attributeCount(announced: count)))
    }
    let twice = opening(flags: 4) + integer(2) + string("a") + string("1") + string("a") + string("2")
    #expect(decoded(twice) == .refused(.attributeRepeated(name: "a")))
}

@Test func `texts that are not UTF-8 are refused, never repaired`() {
    let broken: [UInt8] = integer(2) + [0x2f, 0xff]
    #expect(decoded(broken) == .refused(.notUTF8(.address)))
    #expect(decoded(opening(flags: 1) + broken) == .refused(.notUTF8(.domainSuffix)))
    #expect(decoded(opening(flags: 1) + string("") + broken) == .refused(.notUTF8(.pathPrefix)))
    #expect(decoded(opening(flags: 4) + integer(1) + broken) == .refused(.notUTF8(.attributeName)))
    #expect(decoded(opening(flags: 4) + integer(1) + string("a") + broken) == .refused(.notUTF8(.attributeValue)))
    // PEM is bytes, whatever they are.
    let tls = SocketDefinition.TLS(certificate: [0x2f, 0xff], key: [0x2f, 0xff])
    #expect(decoded(opening(flags: 2) + broken + broken) == .complete(SocketDefinition(port: 8_000, tls: tls)))
}

@Test func `what speaks another protocol is told so`() {
    guard case .refused(let reason) = decoded(Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)) else {
        Issue.record("accepted")
        return
    }
    #expect("\(reason)".contains("registration protocol"))
}

@Test(arguments: UInt64(0)..<300)
func `garbage and damaged registrations never trap and keep to their memory`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var bytes: [UInt8] =
        seed % 2 == 0
        ? (0..<Int.random(in: 0...400, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
        : samples.randomElement(using: &generator)!.bytes
    for _ in 0..<Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
        // Mostly small values, so that lengths stay believable.
        let value = Bool.random(using: &generator) ? UInt8.random(in: 0...4, using: &generator) : 255
        bytes[Int.random(in: bytes.indices, using: &generator)] = value
    }
    var whole = RegistrationDecoder()
    let consumed = whole.receive(bytes.span)
    var parts = RegistrationDecoder()
    var consumedInParts = 0
    while consumedInParts < bytes.count, case .needsMore = parts.state {
        let end = min(bytes.count, consumedInParts + Int.random(in: 1...9, using: &generator))
        let piece = Array(bytes[consumedInParts..<end])
        consumedInParts += parts.receive(piece.span)
        #expect(parts.bufferedBytes <= 2 * consumedInParts + 64, "seed \(seed)")
    }
    #expect(consumed == consumedInParts, "seed \(seed)")
    #expect(whole.state == parts.state, "seed \(seed)")
    if case .complete(let definition) = whole.state {
        _ = try? CanonicalDefinition(definition)
        #expect(decoded(definition.encoded()) == whole.state, "seed \(seed)")
    }
}
