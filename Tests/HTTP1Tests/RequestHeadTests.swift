import HTTP1
import Testing

/// What is understood of a valid request.
@Suite struct RequestHeadTests {
    private func request(_ lines: String...) -> ScannedRequest {
        let scanned = ScannedRequest(lines.map { $0 + "\r\n" }.joined() + "\r\n")
        #expect(scanned.status == .complete, "\(lines): \(scanned.head.refusal)")
        return scanned
    }

    @Test func theEndIsAfterTheEmptyLineWhateverFollows() {
        let head = "GET /a HTTP/1.1\r\nHost: b\r\n\r\n"
        for rest in ["", "x", "\r\n", "GET / HTTP/1.1\r\n\r\n", "\n\n\0"] {
            let scanned = ScannedRequest(head + rest)
            #expect(scanned.status == .complete && scanned.head.byteCount == head.utf8.count)
        }
    }

    @Test func methodsAreKnownByTheirExactName() {
        let names: [(String, Method)] = [
            ("GET", .get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete), ("OPTIONS", .options),
            ("TRACE", .trace), ("PATCH", .patch), ("get", .other), ("Get", .other), ("GETT", .other), ("GE", .other),
            ("PROPFIND", .other), ("PUR", .other), ("X", .other), ("OPTION", .other), ("M-SEARCH", .other),
        ]
        for (name, method) in names {
            let scanned = request("\(name) / HTTP/1.1", "Host: a")
            #expect(scanned.head.method == method)
            #expect(scanned.text(scanned.head.methodName) == name)
        }
        #expect(request("CONNECT a:1 HTTP/1.1", "Host: a:1").head.method == .connect)
    }

    @Test func whatMayBeSentAgainIsWhatTheStandardCallsIdempotent() {
        let idempotent = Method.allCases.filter { $0.isIdempotent }
        #expect(idempotent == [.get, .head, .put, .delete, .options, .trace])
    }

    @Test func minorVersionsBeyondOneAreOne() {
        #expect(request("GET / HTTP/1.0").head.minorVersion == 0)
        for digit in 1...9 { #expect(request("GET / HTTP/1.\(digit)", "Host: a").head.minorVersion == 1) }
    }

    @Test(
        "the host is without port and trailing dot",
        arguments: [
            ("a", "a"), ("a:80", "a"), ("a.", "a"), ("a.:80", "a"), ("A.Example", "A.Example"), ("a_b-c.d", "a_b-c.d"),
            ("127.0.0.1:8000", "127.0.0.1"), ("[::1]", "[::1]"), ("[::1]:8000", "[::1]"), ("a:65535", "a"),
            ("a:0", "a"),
            ("[2001:DB8::1.2.3.4]:1", "[2001:DB8::1.2.3.4]"), ("", ""), ("  a \t", "a"),
            ("a-very.long.name.of.a.host", ""),
        ])
    func host(value: String, expected: String) {
        let host = expected.isEmpty && !value.isEmpty ? value : expected
        #expect(request("GET / HTTP/1.1", "Host: \(value)").host == host)
        #expect(request("GET / HTTP/1.1", "hoST:\(value)").host == host)
    }

    @Test func anAbsoluteTargetTellsTheHost() {
        #expect(request("GET http://b.example:81/x HTTP/1.1", "Host: a").host == "b.example")
        #expect(request("GET HTTPS://B HTTP/1.1", "Host: a").host == "B")
        #expect(request("GET http://[::1]:81?x HTTP/1.1", "Host:").host == "[::1]")
        #expect(request("GET ws+x.1-y://b./ HTTP/1.0").host == "b")
    }

    @Test func connectIsRoutedByItsTargetWhateverHostSays() {
        for fields in [["Host: a"], ["Host:"], ["Host: b.example:1"], ["X: y", "Host: [::1]:443"]] {
            let lines = fields.map { $0 + "\r\n" }.joined() + "\r\n"
            #expect(ScannedRequest("CONNECT b.example:443 HTTP/1.1\r\n" + lines).host == "b.example")
            #expect(ScannedRequest("CONNECT b.:00443 HTTP/1.0\r\n" + lines).host == "b")
            #expect(ScannedRequest("CONNECT [::2]:1 HTTP/1.1\r\n" + lines).host == "[::2]")
        }
        #expect(request("CONNECT b.example:443 HTTP/1.0").host == "b.example")
    }

    @Test func onlyAClientOfHTTP10CanLackAHost() {
        for fields in [[], ["Host:"], ["Host: \t"], ["X: y", "hOST:"]] {
            let lines = fields.map { $0 + "\r\n" }.joined() + "\r\n"
            #expect(ScannedRequest("GET / HTTP/1.0\r\n" + lines).lacksHost)
            #expect(!ScannedRequest("GET http://a/ HTTP/1.0\r\n" + lines).lacksHost)
            #expect(!ScannedRequest("CONNECT a:1 HTTP/1.0\r\n" + lines).lacksHost)
        }
        #expect(request("OPTIONS * HTTP/1.0").lacksHost)
        #expect(!request("GET / HTTP/1.0", "Host: a").lacksHost)
        #expect(!request("GET / HTTP/1.1", "Host:").lacksHost)
    }

    // MARK: Body and connection

    @Test func aRequestWithoutFramingHasNoBody() {
        #expect(request("POST / HTTP/1.1", "Host: a").head.framing == .none)
    }

    @Test func contentLengthCountsTheBody() {
        for (value, length) in [("5", UInt64(5)), ("005", 5), ("9223372036854775807", 9_223_372_036_854_775_807)] {
            let scanned = request("POST / HTTP/1.1", "Host: a", "Content-Length: \t\(value) ")
            #expect(scanned.head.framing == .counted && scanned.head.contentLength == length)
        }
        let zeros = String(repeating: "0", count: 100)
        let empty = request("POST / HTTP/1.1", "Host: a", "CONTENT-LENGTH:\(zeros)")
        #expect(empty.head.framing == .none && empty.head.contentLength == 0)
    }

    @Test func aRepeatedEqualLengthCountsOnce() {
        let scanned = request("POST / HTTP/1.0", "Content-Length: 7", "X: y", "Content-Length: 07")
        #expect(scanned.head.framing == .counted && scanned.head.contentLength == 7)
    }

    @Test func chunkedIsRecognisedInAnyCase() {
        for line in ["Transfer-Encoding: chunked", "transfer-encoding:ChUnKeD", "TRANSFER-ENCODING: \tchunked \t"] {
            #expect(request("POST / HTTP/1.1", "Host: a", line).head.framing == .chunked)
        }
    }

    @Test func http11KeepsTheConnectionUnlessToldOtherwise() {
        #expect(request("GET / HTTP/1.1", "Host: a").keepAlive)
        for value in ["close", "Close", "x, close", "close,keep-alive", " ,, close ,", "keep-alive, CLOSE"] {
            #expect(!request("GET / HTTP/1.1", "Host: a", "Connection: \(value)").keepAlive)
        }
        for value in ["keep-alive", "closed", "x-close", "", "\"close\"", "close;"] {
            #expect(request("GET / HTTP/1.1", "Host: a", "Connection: \(value)").keepAlive)
        }
        #expect(!request("GET / HTTP/1.1", "Host: a", "Connection: x", "Connection: close").keepAlive)
    }

    @Test func http10EndsTheConnectionUnlessToldOtherwise() {
        #expect(!request("GET / HTTP/1.0").keepAlive)
        #expect(request("GET / HTTP/1.0", "Connection: Keep-Alive").keepAlive)
        #expect(!request("GET / HTTP/1.0", "Connection: keep-alive, close").keepAlive)
        #expect(!request("GET / HTTP/1.0", "Proxy-Connection: keep-alive").keepAlive)
    }

    @Test func onlyClientsOfHTTP11WaitFor100() {
        #expect(request("POST / HTTP/1.1", "Host: a", "Expect: 100-Continue").expectsContinue)
        #expect(!request("POST / HTTP/1.0", "Host: a", "Expect: 100-continue").expectsContinue)
        #expect(!request("POST / HTTP/1.1", "Host: a", "Expect: 200-continue").expectsContinue)
        #expect(!request("POST / HTTP/1.1", "Host: a").expectsContinue)
    }

    @Test func anUpgradeNeedsBothFieldsAndHTTP11() {
        #expect(request("GET / HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: websocket").isUpgrade)
        #expect(request("GET / HTTP/1.1", "Host: a", "Upgrade: x", "Connection: keep-alive, upgrade").isUpgrade)
        #expect(!request("GET / HTTP/1.1", "Host: a", "Upgrade: websocket").isUpgrade)
        #expect(!request("GET / HTTP/1.1", "Host: a", "Connection: upgrade").isUpgrade)
        #expect(!request("GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade:").isUpgrade)
        #expect(!request("GET / HTTP/1.0", "Connection: upgrade", "Upgrade: websocket").isUpgrade)
        #expect(!request("CONNECT a:1 HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: x").isUpgrade)
    }

    @Test("an upgrade to h2c is none: its requests would pass unrouted")
    func clearTextHTTP2() {
        for value in ["h2c", "H2C", "h2c/x", "H2c/", "h2c, h2c", ",h2c ,H2C/1"] {
            let scanned = request(
                "GET / HTTP/1.1", "Host: a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: \(value)",
                "HTTP2-Settings: x")
            #expect(!scanned.isUpgrade)
            let edited = String(decoding: scanned.edited(), as: UTF8.self).lowercased()
            #expect(!edited.contains("upgrade") && !edited.contains("http2"))
        }
    }

    @Test func maxForwardsMeansSomethingInOptionsAndTraceAlone() {
        for method in ["OPTIONS", "TRACE", "GET", "HEAD", "POST", "options", "CONNECT"] {
            let target = method == "CONNECT" ? "a:1" : "/"
            let scanned = request("\(method) \(target) HTTP/1.1", "Host: a", "Max-Forwards: 5")
            #expect(scanned.maxForwards == (["OPTIONS", "TRACE"].contains(method) ? 5 : -1))
        }
        for (value, number) in [
            ("0", 0), ("00", 0), ("1", 1), (" 7\t", 7), ("010", 10), ("9223372036854775807", Int.max),
            ("9223372036854775808", Int.max), ("18446744073709551616", Int.max),
            (String(repeating: "9", count: 99), Int.max),
            ("", -1), ("-1", -1), ("+1", -1), ("1 2", -1), ("1,2", -1), ("x", -1), ("0x1", -1), ("1.0", -1),
        ] {
            #expect(request("TRACE / HTTP/1.1", "Host: a", "mAX-forwards: \(value)").maxForwards == number)
            #expect(request("OPTIONS * HTTP/1.0", "Max-Forwards:\(value)", "X: y").maxForwards == number)
        }
        #expect(request("TRACE / HTTP/1.1", "Host: a").maxForwards == -1)
        for other in ["Max_Forwards: 3", "Max-Forward: 3", "Max-Forwardss: 3"] {
            #expect(request("TRACE / HTTP/1.1", "Host: a", other).maxForwards == -1)
        }
        let twice = request("OPTIONS / HTTP/1.1", "Host: a", "Max-Forwards: 3", "Max-Forwards: x", "Max-Forwards: 2")
        #expect(twice.maxForwards == 2)
    }

    @Test func aHeadMayBeScannedInTheSameValueAgain() {
        var head = RequestHead()
        let long = PaddedBuffer(
            "POST /x HTTP/1.0\r\nHost: a\r\nConnection: x, keep-alive\r\nContent-Length: 9\r\n\r\n".utf8)
        let short = PaddedBuffer("GET / HTTP/1.1\r\nHost:\r\n\r\n".utf8)
        let wrong = PaddedBuffer("GET / HTTP/1.1\r\n\r\n".utf8)
        for _ in 0..<2 {
            #expect(unsafe head.scan(long.raw, limits: HeadLimits()) == .complete)
            #expect(head.framing == .counted && head.minorVersion == 0 && head.keepAlive)
            #expect(unsafe head.scan(wrong.raw, limits: HeadLimits()) == .refused)
            #expect(head.refusal == .missingHost && head.byteCount == 0)
            #expect(unsafe head.scan(short.raw, limits: HeadLimits()) == .complete)
            #expect(head.framing == .none && head.contentLength == 0 && head.keepAlive && head.host.isEmpty)
            #expect(head.refusal == .none && head.byteCount == short.count)
        }
    }

    @Test func noBytesAreAnIncompleteHead() {
        var head = RequestHead()
        let status = unsafe head.scan(UnsafeRawBufferPointer(start: nil, count: 0), limits: HeadLimits())
        #expect(status == .incomplete)
    }
}
