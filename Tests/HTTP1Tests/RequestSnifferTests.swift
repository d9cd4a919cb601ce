import HTTP1
import Testing

/// What the first bytes of a connection say on a port that requests share with other protocols.
@Suite struct RequestSnifferTests {
    private func judge(_ bytes: [UInt8]) -> RequestSniffer.Verdict {
        let buffer = PaddedBuffer(bytes, padding: Array(" /".utf8))
        return unsafe RequestSniffer.judge(buffer.raw)
    }

    @Test(
        "a request is known by the first byte of its target, and may be one until then",
        arguments: [
            "GET /", "POST /x HTTP/1.1\r\n", "OPTIONS *", "PRI * HTTP/2.0", "CONNECT a:1", "GET http://a/", "BREW /pot",
            "GET HTTPS://a", "M-SEARCH *",
        ])
    func requests(text: String) {
        let bytes = Array(text.utf8)
        #expect(judge(bytes) == .http)
        var verdicts = (0..<bytes.count).map { judge(Array(bytes.prefix($0))) }
        while verdicts.last == .http { verdicts.removeLast() }
        #expect(verdicts.allSatisfy { $0 == .undecided })
    }

    @Test(
        "greetings of other protocols are no requests",
        arguments: [
            "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH-2.0-Go\r\n", "EHLO mail.example\r\n", "HELO a\r\n", "USER a\r\n",
            "NICK a\r\n",
            "INVITE sip:a@b SIP/2.0", "\u{16}\u{3}\u{1}", "\0\0\0\u{8}", "*1\r\n$4\r\nPING\r\n", "PING\r\n", "\r\n",
            " GET /", "GET  /",
            "GET\r\n", "GET\t/", "<?xml", "{\"a\":1}", "get://", "GET :", "GET a/", "GET http:/a", "a b ",
        ])
    func others(text: String) { #expect(judge(Array(text.utf8)) == .notHTTP) }

    @Test func aWordLongerThanAnyMethodIsNone() {
        #expect(judge(Array(repeating: 0x41, count: 32)) == .undecided)
        #expect(judge(Array(repeating: 0x41, count: 33)) == .notHTTP)
        #expect(judge(Array("GET ".utf8) + Array(repeating: 0x41, count: 16)) == .undecided)
        #expect(judge(Array("GET ".utf8) + Array(repeating: 0x41, count: 20)) == .notHTTP)
    }

    @Test func nothingSaidIsUndecided() { #expect(judge([]) == .undecided) }
}
