import Registration
import Testing

private let line = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgq8Zk2fT0Xw7Yb1Qn"

@Test(arguments: [
    ("-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----", "<PEM, 56 bytes>"),
    (
        "see -----BEGIN RSA PRIVATE KEY-----\nAA\n-----END RSA PRIVATE KEY-----\nand more",
        "see <PEM, 64 bytes>\nand more"
    ),
    // The end was cut off.
    ("-----BEGIN PRIVATE KEY-----\nAA", "<PEM, 30 bytes>"),
    ("-----BEGIN A----------END A-----/b-----BEGIN", "<PEM, 32 bytes>/b<PEM, 10 bytes>"),
    (line, "<64 characters>"), ("/\(line)/", "<66 characters>"),
    ("a \(line)\n\(line) b", "a <64 characters>\n<64 characters> b"),
])
func `what looks like a key is left out`(text: String, shown: String) {
    #expect(text.withoutKeys == shown)
}

@Test(arguments: [
    "", "example.com", "/api/v1/orders", "-----", "/tmp/TestPublishSaysWhatIsWrong123456789/001/certificates/cert.pem",
    "/var/lib/socketmaster/certificates/ProductionCertificates2026/orders/example", String(repeating: "a", count: 300),
    "/550e8400e29b41d4a716446655440000",
    "no line begins with -----BEGIN CERTIFICATE; give the chain in PEM",
    "no line begins with -----BEGIN PRIVATE KEY or the like; give the key in PEM",
    String(repeating: "A1", count: 19), "Zürich/Straße",
])
func `names, hosts and paths are shown as they are`(text: String) {
    #expect(text.withoutKeys == text)
}

@Test func `of attributes only those that are known are shown`() {
    let attributes = ["token": "abcdefgh", "name": "orders", "reuse-streams": "true"]
    let shown = "\(SocketDefinition(port: 1, attributes: attributes))"
    #expect(shown.contains("orders") && !shown.contains("abcdefgh") && shown.contains("<8 bytes>"))
}
