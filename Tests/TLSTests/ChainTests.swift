import CTLSClient
import TLS
import Testing

/// A root that clients trust, and an intermediate one that signs the service's certificate.
private struct Authority {
    let root = PEM(name: "root", isAuthority: true)
    let middle: PEM

    init() { middle = PEM(name: "intermediate", isAuthority: true, issuer: root) }

    /// The service's own certificate and its key, without a chain.
    func issue(_ kind: tc_kind = TC_P256) -> PEM { PEM(kind, alternatives: "DNS:a.example", issuer: middle) }
}

/// OpenSSL's SSL_R_CERTIFICATE_VERIFY_FAILED.
private let refused = ClientOutcome.failed(134)

@Test(arguments: [TC_P256, TC_RSA2048])
func `the intermediate certificates of a chain are sent, in its order`(kind: tc_kind) throws {
    let authority = Authority()
    var pem = authority.issue(kind)
    pem.chain += authority.middle.chain
    let server = TestServer(IdentityTable([try pem.identity()]))
    for version: UInt16 in [0x0303, 0x0304] {
        let wish = Wish(name: "a.example", oldest: version, newest: version, root: authority.root.chain)
        #expect(shake(TestClient(wish), server.begin()) == .done)
    }
}

@Test func `nothing is added to a chain that lacks its intermediate certificate`() throws {
    let authority = Authority()
    // Another identity of the process has it, and it is not taken from there.
    let whole = authority.issue()
    let complete = PEM(alternatives: "DNS:b.example", issuer: authority.middle)
    var other = complete
    other.chain += authority.middle.chain
    let server = TestServer(IdentityTable([try whole.identity(), try other.identity()]))
    for version: UInt16 in [0x0303, 0x0304] {
        let wish = Wish(name: "a.example", oldest: version, newest: version, root: authority.root.chain)
        let connection = server.begin()
        #expect(shake(TestClient(wish), connection) == refused)
        // unknown_ca (RFC 8446 6.2): the client says why, and we learn of it.
        #expect(connection.failure == .alert)
        #expect(connection.alert == 48)
    }
}

@Test func `a chain of another authority is the client's to refuse`() throws {
    let authority = Authority()
    var pem = authority.issue()
    pem.chain += authority.middle.chain
    let server = TestServer(IdentityTable([try pem.identity()]))
    let another = PEM(name: "another root", isAuthority: true)
    #expect(shake(TestClient(Wish(root: another.chain)), server.begin()) == refused)
}

@Test func `a chain may bring its root, and certificates that do not belong to it`() throws {
    let authority = Authority()
    var pem = authority.issue()
    pem.chain += PEM(name: "another").chain + authority.middle.chain + authority.root.chain
    let server = TestServer(IdentityTable([try pem.identity()]))
    #expect(shake(TestClient(Wish(root: authority.root.chain)), server.begin()) == .done)
}

/// The key fits to the first certificate or to none: otherwise a service would serve with its authority's.
@Test func `the service's own certificate comes first`() throws {
    let authority = Authority()
    let pem = authority.issue()
    #expect(throws: IdentityRefusal.mismatch) {
        try Identity(chain: Array((authority.middle.chain + pem.chain).utf8), key: Array(pem.key.utf8))
    }
}

/// What every client refuses is refused at once. Nobody looks at how a root signs itself.
@Test func `weak links of a chain are refused`() throws {
    let authority = Authority()
    let weak = PEM(alternatives: "DNS:a.example", isSHA1: true, issuer: authority.middle)
    #expect(throws: IdentityRefusal.signatureWeak) { try weak.identity() }
    let middle = PEM(name: "intermediate", isAuthority: true, isSHA1: true, issuer: authority.root)
    var pem = PEM(alternatives: "DNS:a.example", issuer: middle)
    pem.chain += middle.chain
    #expect(throws: IdentityRefusal.signatureWeak) { try pem.identity() }
    let small = PEM(TC_RSA1024, name: "intermediate", isAuthority: true, issuer: authority.root)
    pem = PEM(alternatives: "DNS:a.example", issuer: small)
    pem.chain += small.chain
    #expect(throws: IdentityRefusal.keySmall) { try pem.identity() }
}

@Test func `a chain of sixteen certificates is served, and one of seventeen refused`() throws {
    let authority = Authority()
    var pem = authority.issue()
    pem.chain += authority.middle.chain + String(repeating: authority.root.chain, count: 14)
    let server = TestServer(IdentityTable([try pem.identity()]))
    #expect(shake(TestClient(Wish(root: authority.root.chain)), server.begin()) == .done)
    pem.chain += authority.root.chain
    #expect(throws: IdentityRefusal.chainLong(limit: 16)) { try pem.identity() }
}
