import CTLSClient
import TLS
import Testing

private func table(_ pems: [PEM]) throws -> (IdentityTable, [Identity]) {
    let identities = try pems.map { try $0.identity() }
    return (IdentityTable(identities), identities)
}

@Test func `the exact name comes before the wildcard, and the wildcard before the first`() throws {
    let (table, _) = try table([
        PEM(alternatives: "DNS:first.example"), PEM(alternatives: "DNS:*.a.example"),
        PEM(alternatives: "DNS:b.a.example,DNS:c.example"),
    ])
    #expect(table.places(for: "first.example").modern == 0)
    #expect(table.places(for: "x.a.example").modern == 1)
    #expect(table.places(for: "B.A.example.").modern == 2)
    #expect(table.places(for: "c.example").modern == 2)
    // A star is one label.
    #expect(table.places(for: "x.y.a.example").modern == 0)
    #expect(table.places(for: "a.example").modern == 0)
    for name in ["", ".", "other.example", String(repeating: "a", count: 300), "127.0.0.1", ".a.example", "*"] {
        #expect(table.places(for: name).modern == 0)
    }
}

@Test func `of two for one name the newest has it, and that is told`() throws {
    let (table, _) = try table([
        PEM(alternatives: "DNS:a.example,DNS:b.example"), PEM(alternatives: "DNS:a.example"),
        PEM(TC_RSA2048, alternatives: "DNS:a.example"),
    ])
    #expect(table.places(for: "a.example").modern == 1)
    #expect(table.places(for: "a.example").rsa == 2)
    #expect(table.places(for: "b.example").modern == 0)
    #expect(table.overlaps.map { [$0.winner, $0.loser] } == [[1, 0]])
    #expect(table.overlaps.map(\.name) == ["a.example"])
}

@Test func `clients get the certificate of the name that they say`() throws {
    let (table, identities) = try table([
        PEM(alternatives: "DNS:first.example"), PEM(alternatives: "DNS:*.a.example"),
        PEM(alternatives: "DNS:b.example"),
    ])
    let server = TestServer(table)
    for (name, place) in [("x.a.example", 1), ("B.example", 2), ("first.example", 0), ("other", 0), (nil, 0)] {
        for version: UInt16 in [0x0303, 0x0304] {
            let client = TestClient(Wish(name: name, oldest: version, newest: version))
            #expect(shake(client, server.begin()) == .done)
            #expect(client.fingerprint == identities[place].fingerprint)
        }
    }
}

@Test func `RSA is for clients that know nothing else`() throws {
    let (table, identities) = try table([
        PEM(TC_RSA2048, alternatives: "DNS:a.example"), PEM(TC_P256, alternatives: "DNS:a.example"),
    ])
    let server = TestServer(table)
    let wishes: [(Wish, Int)] = [
        (Wish(name: "a.example"), 1),
        (Wish(name: "a.example", newest: 0x0303), 1),
        (Wish(name: "a.example", schemes: "rsa_pss_rsae_sha256:rsa_pkcs1_sha256"), 0),
        (Wish(name: "a.example", suites12: "ECDHE-RSA-AES128-GCM-SHA256", newest: 0x0303), 0),
        // The table was made with the first alone for those who ask for no name.
        (Wish(), 0),
    ]
    for (wish, place) in wishes {
        let client = TestClient(wish)
        #expect(shake(client, server.begin()) == .done)
        #expect(client.fingerprint == identities[place].fingerprint)
    }
}

@Test func `the proxy prefers its own order, and ChaCha for those who prefer that`() throws {
    let server = TestServer(try table([PEM(alternatives: "DNS:a.example")]).0)
    for (suites, chosen) in [
        ("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", 0x1301),
        ("TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", 0x1303),
        // As OpenSSL's clients have it of their own accord.
        ("TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", 0x1301),
        ("TLS_CHACHA20_POLY1305_SHA256", 0x1303),
        ("TLS_AES_256_GCM_SHA384", 0x1302),
    ] as [(String, UInt16)] {
        let connection = server.begin()
        #expect(shake(TestClient(Wish(suites13: suites)), connection) == .done)
        #expect(server.engine.facts(connection.state).suite == chosen)
    }
    for (suites, chosen) in [
        ("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", 0xC02B),
        ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256", 0xCCA9),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", 0xC02C),
    ] as [(String, UInt16)] {
        let connection = server.begin()
        #expect(shake(TestClient(Wish(suites12: suites, newest: 0x0303)), connection) == .done)
        #expect(server.engine.facts(connection.state).suite == chosen)
    }
    for (groups, isServed) in [("X25519", true), ("P-256", true), ("P-384:P-256", true), ("P-521", false)] {
        let connection = server.begin()
        #expect((shake(TestClient(Wish(groups: groups)), connection) == .done) == isServed)
        if !isServed { #expect(connection.failure == .cipher) }
    }
}

@Test(arguments: [(TC_P256, "ECDSA+SHA1"), (TC_RSA2048, "RSA+SHA1")] as [(tc_kind, String)])
func `nothing is signed by way of SHA-1`(kind: tc_kind, schemes: String) throws {
    let server = TestServer(try table([PEM(kind, alternatives: "DNS:a.example")]).0)
    let connection = server.begin()
    let wish = Wish(suites12: "ALL:@SECLEVEL=0", schemes: schemes, newest: 0x0303)
    #expect(shake(TestClient(wish), connection) != .done)
    #expect(connection.failure == .cipher)
}

@Test func `a table keeps its identities alive, and a connection the one that it began with`() throws {
    let server = TestServer(IdentityTable([try PEM(alternatives: "DNS:a.example").identity()]))
    let client = TestClient()
    let connection = server.begin()
    do {
        let short = TestServer(IdentityTable([try PEM(alternatives: "DNS:b.example").identity()]))
        let other = short.begin()
        let otherClient = TestClient()
        #expect(shake(otherClient, other) == .done)
        #expect(otherClient.write([1]) == .done)
        other.take(otherClient.give())
        #expect(other.received == [1])
    }
    #expect(shake(client, connection) == .done)
}
