import CTLSClient
import TLS
import Testing

@Test(arguments: [(TC_P256, 0), (TC_P384, 0), (TC_P521, 0), (TC_RSA2048, 1), (TC_ED25519, 0)] as [(tc_kind, Int)])
func `keys of each kind serve`(kind: tc_kind, isRSA: Int) throws {
    let identity = try PEM(kind, alternatives: "DNS:a.example").identity()
    #expect(identity.kind == (isRSA == 1 ? .rsa : .modern))
    let server = TestServer(IdentityTable([identity]))
    for version: UInt16 in [0x0303, 0x0304] {
        let client = TestClient(Wish(oldest: version, newest: version))
        #expect(shake(client, server.begin()) == .done)
        #expect(client.fingerprint == identity.fingerprint)
    }
}

@Test(arguments: [TC_P256, TC_RSA2048])
func `keys are read in their old forms too`(kind: tc_kind) throws {
    let pem = PEM(kind, alternatives: "DNS:a.example", form: TC_TRADITIONAL)
    #expect(pem.key.contains(kind == TC_P256 ? "BEGIN EC PRIVATE KEY" : "BEGIN RSA PRIVATE KEY"))
    _ = try pem.identity()
    // As openssl ecparam -genkey writes it.
    var withParameters = pem
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    withParameters.key = (kind == TC_P256 ? parameters : "") + pem.key
    _ = try withParameters.identity()
}

@Test func `text around the blocks does not matter`() throws {
    var pem = PEM(alternatives: "DNS:a.example")
    pem.chain = "subject: a\n" + pem.chain + "\nthe end\n"
    pem.key = "a key:\n" + pem.key + "\n\n"
    _ = try pem.identity()
}

@Test func `what is wrong with a certificate or key is said`() throws {
    let good = PEM(alternatives: "DNS:a.example")
    let other = PEM(alternatives: "DNS:a.example")
    func refusal(_ chain: String, _ key: String) -> IdentityRefusal? {
        do {
            _ = try Identity(chain: Array(chain.utf8), key: Array(key.utf8))
            return nil
        } catch {
            return error
        }
    }
    let broken = good.chain.replacing("MII", with: "AAA")
    #expect(refusal("", good.key) == .certificateMissing)
    #expect(refusal("no certificate", good.key) == .certificateMissing)
    guard case .certificateBroken = refusal(broken, good.key) else {
        Issue.record("a broken certificate")
        return
    }
    guard case .chainBroken(1, _) = refusal(good.chain + broken, good.key) else {
        Issue.record("a broken chain")
        return
    }
    #expect(refusal(good.chain, "") == .keyMissing)
    #expect(refusal(good.chain, good.chain) == .keyMissing)
    #expect(refusal(good.chain, other.key) == .mismatch)
    #expect(refusal(good.chain, PEM(TC_RSA2048).key) == .mismatch)
    for key in encryptedKeys { #expect(refusal(good.chain, key) == .keyEncrypted) }
    guard case .keyBroken = refusal(good.chain, good.key.replacing("MIG", with: "AAA")) else {
        Issue.record("a broken key")
        return
    }
    let small = PEM(TC_RSA1024)
    #expect(refusal(small.chain, small.key) == .keySmall)
    let unusual = PEM(TC_SECP256K1)
    #expect(refusal(unusual.chain, unusual.key) == .keyKind)
    #expect(refusal(good.chain, unusual.key) == .keyKind)
    let long = String(repeating: good.chain, count: 18)
    #expect(refusal(long, good.key) == .chainLong(limit: 16))
}

@Test func `every refusal is a sentence without the key`() {
    let refusals: [IdentityRefusal] = [
        .certificateMissing, .certificateBroken(reason: "r"), .chainBroken(place: 1, reason: "r"),
        .chainLong(limit: 16), .keyMissing, .keyEncrypted, .keyBroken(reason: "r"), .keyKind, .keySmall, .mismatch,
        .signatureWeak,
        .refused(reason: "r"),
    ]
    for refusal in refusals {
        #expect(refusal.description.hasSuffix("."))
        #expect(refusal.description.count < 160)
    }
}

@Test func `names come from subjectAltName, else from the common name`() throws {
    let both = try PEM(name: "cn.example", alternatives: "DNS:A.Example,DNS:*.b.example,IP:127.0.0.1").identity()
    #expect(both.names == ["a.example", "*.b.example"])
    #expect(try PEM(name: "CN.example").identity().names == ["cn.example"])
    #expect(try PEM(name: "cn.example", alternatives: "IP:127.0.0.1").identity().names == ["cn.example"])
    #expect(try PEM(name: "a company, not a host").identity().names == [])
    #expect(
        try PEM(alternatives: "DNS:a.*.example,DNS:f*.example,DNS:*,DNS:ok.example").identity().names == ["ok.example"])
}

@Test func `validity is told and does not matter for serving`() throws {
    let now: Int64 = (try PEM().identity()).notBefore + 3600
    let expired = try PEM(begins: -7200, ends: -3600).identity()
    #expect(expired.validity(at: now) == .expired)
    let early = try PEM(begins: 3600, ends: 7200).identity()
    #expect(early.validity(at: now) == .notYet)
    #expect(try PEM().identity().validity(at: now) == .valid)
    #expect(shake(TestClient(), TestServer(IdentityTable([expired])).begin()) == .done)
}

/// As `openssl pkcs8 -topk8` and as `openssl ec -aes128` write them.
private let encryptedKeys = [
    """
    -----BEGIN ENCRYPTED PRIVATE KEY-----
    MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhUYR7lKdhjpgICCAAw
    DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJOISVDFVo4QwglbZbM9PiQEgZDr
    t1Oaf18G9P0V6xIxx/TqdSsNondAGfZBqxW+r6u7aZYlsqXObFPAMsI+Hc/7avSG
    UMs1rVRgdtpgzw/PMdnwDKSZUflIMkYbtFh4UwiRPHCZTMK/cok6C2pXNjAMukQm
    R6ML2GBsNMcOaQPVBuyPYO9dThar4n9S7xYiOdO+a1/a98b3EX96enCkper217Y=
    -----END ENCRYPTED PRIVATE KEY-----
    """,
    """
    -----BEGIN EC PRIVATE KEY-----
    Proc-Type: 4,ENCRYPTED
    DEK-Info: AES-128-CBC,EC7FC5449941BAA3BC80C5C27D3CE06C

    +8d1p2tGpxcoz5Nk2NVwCGEM17DWU1rWhQzEcOAEcPXSHlo59y31mrEhTJTX8Il2
    JJB6a3LpyvWMqGxdlkzxyz+pdAdOr7N8SK9HAJ6hk2LgLpj7zS2tCMrrPkL7TWE+
    uly8P40BnI/eQrWRIeau+Zn1uzt/g665I3gm0rV6Kno=
    -----END EC PRIVATE KEY-----
    """,
]
