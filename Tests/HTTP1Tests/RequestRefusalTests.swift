import HTTP1
import Testing

/// What is refused in a request, and with which status; a test for each cause.
@Suite struct RequestRefusalTests {
    // MARK: Framing

    @Test("Content-Length together with Transfer-Encoding is refused, in any order")
    func lengthWithTransferEncoding() {
        #expect(refusal(fields: "Content-Length: 5", "Transfer-Encoding: chunked") == .lengthWithTransferEncoding)
        #expect(refusal(fields: "Transfer-Encoding: chunked", "Content-Length: 0") == .lengthWithTransferEncoding)
        #expect(refusal(fields: "transfer-encoding:CHUNKED", "content-length:5") == .lengthWithTransferEncoding)
        #expect(Refusal.lengthWithTransferEncoding.status == 400)
    }

    @Test(
        "a Content-Length that is not one plain number is refused",
        arguments: [
            "", " ", "+5", "-5", "-0", "5,5", "5, 5", "5 5", "0x5", "5_0", "5.0", "5a", "a", "5;", "\"5\"", "5\t5",
            "9223372036854775808", "18446744073709551615", "18446744073709551621", "99999999999999999999999999", "½",
            "\u{0665}",
        ])
    func badLength(value: String) {
        #expect(refusal(fields: "Content-Length: \(value)") == .badContentLength)
        #expect(Refusal.badContentLength.status == 400)
    }

    @Test func contentLengthsThatDifferAreRefused() {
        #expect(refusal(fields: "Content-Length: 5", "Content-Length: 6") == .conflictingLengths)
        #expect(refusal(fields: "Content-Length: 5", "X: y", "content-length: 50") == .conflictingLengths)
        #expect(refusal(fields: "Content-Length: 5", "Content-Length:") == .badContentLength)
        #expect(refusal(fields: "Content-Length: 5", "Content-Length: 5, 6") == .badContentLength)
    }

    @Test(
        "a Transfer-Encoding that is malformed or does not end in one chunked gets 400",
        arguments: [
            "", ",", "chunked, chunked", "chunked,chunked", "chunked;q=1", "chunked; a=b", "\"chunked\"", "[chunked]",
            "chunked\u{e4}", "chun\"ked", "chunked=", "chunked/1",
        ])
    func badTransferEncoding(value: String) {
        #expect(refusal(fields: "Transfer-Encoding: \(value)") == .badTransferEncoding)
        #expect(Refusal.badTransferEncoding.status == 400)
    }

    @Test(
        "a Transfer-Encoding with an unknown coding gets 501",
        arguments: [
            "gzip", "gzip, chunked", "chunked, gzip", "identity", "identity, chunked", "xchunked", "chunkedx", "chunke",
            "x", "deflate;q=0.5, chunked", "cow", "chunked-", "chunk ed",
        ])
    func unknownCoding(value: String) {
        #expect(refusal(fields: "Transfer-Encoding: \(value)") == .unknownTransferCoding)
        #expect(Refusal.unknownTransferCoding.status == 501)
    }

    @Test func twoTransferEncodingLinesAreRefused() {
        #expect(
            refusal(fields: "Transfer-Encoding: chunked", "Transfer-Encoding: chunked") == .repeatedTransferEncoding)
        #expect(refusal(fields: "Transfer-Encoding: chunked", "Transfer-Encoding: x") == .repeatedTransferEncoding)
        #expect(refusal(fields: "Transfer-Encoding: chunked", "transfer-encoding:") == .repeatedTransferEncoding)
    }

    @Test func transferEncodingInHTTP10IsRefused() {
        #expect(refusal("POST / HTTP/1.0", "Transfer-Encoding: chunked") == .transferEncodingInOldVersion)
        #expect(refusal("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked") == .transferEncodingInOldVersion)
    }

    @Test func aNameThatOnlyLooksLikeAFramingFieldIsAnotherField() {
        for name in [
            "Content-Lengt", "Content-Lengthx", "Transfer-Encodin", "ContentLength", "_Content_Length",
            "Content__Length",
            "Content_Length_", "Content.Length", "Transfer_Encodings", "Transfer__Encodin",
        ] {
            let request = ScannedRequest("POST / HTTP/1.1\r\nHost: a\r\n\(name): 5\r\n\r\n")
            #expect(request.status == .complete && request.head.framing == .none)
        }
    }

    @Test("a name that is a framing field's once an underscore counts as a dash is refused, in any case")
    func foldedFramingNames() {
        for name in ["Content_Length", "Transfer_Encoding"] {
            for name in [name, name.lowercased(), name.uppercased(), "c" + name.dropFirst(), "T" + name.dropFirst()] {
                guard ["content_length", "transfer_encoding"].contains(name.lowercased()) else { continue }
                for value in ["5", "chunked", ""] {
                    #expect(refusal(fields: "\(name): \(value)") == .foldedFramingName)
                    #expect(refusal(fields: "Connection: \(name)", "\(name):\(value)") == .foldedFramingName)
                    #expect(refusal(fields: "Content-Length: 5", "\(name): \(value)") == .foldedFramingName)
                }
            }
        }
        #expect(refusal("GET / HTTP/1.0", "CONTENT_LENGTH: 0") == .foldedFramingName)
        #expect(Refusal.foldedFramingName.status == 400)
    }

    // MARK: Lines

    @Test(
        "space before the colon is refused",
        arguments: [
            "Content-Length : 5", "Transfer-Encoding : chunked", "X : y", "X\t: y", "Transfer-Encoding\t:chunked",
        ])
    func spaceBeforeColon(line: String) {
        #expect(refusal(fields: line) == .spaceBeforeColon)
    }

    @Test func lineFoldingIsRefused() {
        #expect(refusal(fields: "X: a", " b") == .lineFolding)
        #expect(refusal(fields: "X: a", "\tb") == .lineFolding)
        #expect(refusal(fields: "Transfer-Encoding:", " chunked") == .badTransferEncoding)
        #expect(refusal("GET / HTTP/1.1", " Host: a") == .lineFolding)
        #expect(refusal("GET / HTTP/1.1", " ", "Host: a") == .lineFolding)
    }

    @Test func aBareLineFeedIsRefusedWhereverItStands() {
        for text in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\nX: b\nTransfer-Encoding: chunked\r\n\r\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\n HTTP/1.1\r\nHost: a\r\n\r\n", "GET\n / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX\n: b\r\n\r\n",
        ] {
            #expect(ScannedRequest(text).head.refusal == .bareLineFeed, "\(text)")
        }
    }

    @Test func aBareCarriageReturnIsRefusedWhereverItStands() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: b\rTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "\rGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", "GET /\r HTTP/1.1\r\n\r\n", "GET\r/ HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX\r: b\r\n\r\n",
        ] {
            #expect(ScannedRequest(text).head.refusal == .bareCarriageReturn, "\(text)")
        }
    }

    @Test func nullsAndOtherControlsAreRefused() {
        #expect(refusal(fields: "X: a\0b") == .nullByte)
        #expect(refusal(fields: "X\0: b") == .nullByte)
        #expect(refusal("GET /\0 HTTP/1.1", "Host: a") == .nullByte)
        #expect(refusal("\0GET / HTTP/1.1", "Host: a") == .nullByte)
        for byte in Array(1...8) + [11, 12] + Array(14...31) + [127] {
            let control = String(UnicodeScalar(UInt8(byte)))
            #expect(refusal(fields: "X: a\(control)b") == .controlByte)
            #expect(refusal(fields: "Transfer-Encoding: \(control)chunked") == .controlByte)
            #expect(refusal(fields: "X\(control): b") == .controlByte)
            #expect(refusal("GET /\(control) HTTP/1.1", "Host: a") == .controlByte)
        }
    }

    @Test func aLineWithoutColonIsRefused() {
        #expect(refusal(fields: "X") == .missingColon)
        #expect(refusal(fields: "Content-Length") == .missingColon)
        #expect(refusal("GET / HTTP/1.1", "GET / HTTP/1.1", "Host: a") == .spaceBeforeColon)
    }

    @Test(
        "a name that is no token is refused",
        arguments: [
            ": a", "\u{e4}: b", "X\u{e4}: b", "\"X\": b", "X(: b", "X/Y: b", "[X]: b", "X@: b", "X;: b", "{X}: b",
        ])
    func badName(line: String) {
        #expect(refusal(fields: line) == .badFieldName)
    }

    @Test func everyTokenByteMayStandInAName() {
        let name = "!#$%&'*+-.^_`|~09azAZ"
        #expect(refusal(fields: "\(name): b") == .none)
        #expect(refusal(fields: "\(name)\(name)\(name): b") == .none)
    }

    // MARK: The request line

    @Test(
        "a method that is no token is refused",
        arguments: ["", " GET", "G\u{e4}T", "G(T", "\"GET\"", "GET/", "[", "\u{16}\u{3}\u{1}"])
    func badMethod(method: String) {
        let cause = refusal("\(method) / HTTP/1.1", "Host: a")
        #expect(cause == .badMethod || cause == .controlByte)
        #expect(cause.status == 400)
    }

    @Test func aMethodLongerThanAnyKnownOneGets501() {
        #expect(refusal(String(repeating: "A", count: 32) + " / HTTP/1.1", "Host: a") == .none)
        #expect(refusal(String(repeating: "A", count: 33) + " / HTTP/1.1", "Host: a") == .methodTooLong)
        #expect(ScannedRequest(String(repeating: "A", count: 33)).head.refusal.status == 501)
    }

    @Test func whitespaceInTheTargetIsRefused() {
        #expect(refusal("GET /a b HTTP/1.1", "Host: a") == .whitespaceInTarget)
        #expect(refusal("GET /a\tb HTTP/1.1", "Host: a") == .whitespaceInTarget)
        #expect(refusal("GET  / HTTP/1.1", "Host: a") == .whitespaceInTarget)
        #expect(refusal("GET /  HTTP/1.1", "Host: a") == .whitespaceInTarget)
        #expect(refusal("GET\t/ HTTP/1.1", "Host: a") == .badMethod)
    }

    @Test(
        "a target of no form is refused",
        arguments: [
            "GET a", "GET *", "GET a.example", "GET ?x", "GET http:/a/", "GET http://", "GET http:///x", "GET ://a/",
            "GET 1http://a/", "GET http://u@a/", "GET http://u:p@a/", "GET http://a:99999/", "GET http://a:b/",
            "GET http://a%41/", "GET http://[::1/", "GET /a#b", "GET http://a/#b", "CONNECT /", "CONNECT a",
            "CONNECT a:",
            "CONNECT http://a:1/", "CONNECT *", "CONNECT a:1/", "OPTIONS **", "OPTIONS a", "CONNECT a:0",
            "CONNECT a:00",
            "CONNECT a:00000", "CONNECT [::1]:0", "CONNECT a.:000", "CONNECT a:000000", "CONNECT a:65536",
        ])
    func badTarget(start: String) {
        #expect(refusal("\(start) HTTP/1.1", "Host: a") == .badTarget)
        #expect(Refusal.badTarget.status == 400)
    }

    @Test(
        "a version that is none is refused",
        arguments: [
            "", "HTTP", "HTTP/", "HTTP/1", "HTTP/1.", "HTTP/1.1x", "HTTP/1.10", "http/1.1", "HTTP/1,1", "HTTP/01.1",
            "HTTPS/1.1", "XTTP/1.1", "HTTP/1.x", "HTTP/x.1", "HTTP/-1.1", "x", "HTTP/1.1 ",
        ])
    func badVersion(version: String) {
        #expect(refusal("GET / \(version)", "Host: a") == .badVersion)
        #expect(Refusal.badVersion.status == 400)
    }

    @Test func aRequestLineWithoutVersionIsRefused() {
        #expect(refusal("GET /") == .badVersion)
        #expect(refusal("GET") == .badMethod)
    }

    @Test func anUnknownMajorVersionGets505() {
        for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9"] {
            #expect(refusal("GET / \(version)", "Host: a") == .versionNotSupported)
        }
        #expect(ScannedRequest("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").head.refusal.status == 505)
    }

    @Test func tooManyEmptyLinesBeforeARequestAreRefused() {
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        for count in 0...4 {
            let scanned = ScannedRequest(String(repeating: "\r\n", count: count) + request)
            #expect(scanned.status == .complete && scanned.head.byteCount == request.utf8.count + 2 * count)
        }
        #expect(ScannedRequest(String(repeating: "\r\n", count: 5) + request).head.refusal == .tooManyEmptyLines)
        #expect(ScannedRequest(String(repeating: "\r\n", count: 4)).status == .incomplete)
        #expect(ScannedRequest(String(repeating: "\r\n", count: 5)).status == .refused)
    }

    // MARK: Host

    @Test func aRequestOfHTTP11WithoutHostIsRefused() {
        #expect(refusal("GET / HTTP/1.1") == .missingHost)
        #expect(refusal("GET http://a/ HTTP/1.1") == .missingHost)
        #expect(refusal("GET / HTTP/1.7", "X: y") == .missingHost)
        #expect(refusal("GET / HTTP/1.0") == .none)
    }

    @Test func twoHostsAreRefusedEvenIfEqual() {
        #expect(refusal("GET / HTTP/1.1", "Host: a", "Host: b") == .repeatedHost)
        #expect(refusal("GET / HTTP/1.1", "Host: a", "X: y", "hOST: a") == .repeatedHost)
        #expect(refusal("GET / HTTP/1.0", "Host: a", "Host: a") == .repeatedHost)
        #expect(refusal("GET / HTTP/1.1", "Host:", "Host: a") == .repeatedHost)
    }

    @Test(
        "a Host that is none is refused",
        arguments: [
            "a b", "a,b", "a/b", "a?b", "a#b", "u@a", "a:b", "a:", "a:1:2", ":80", "a:65536", "a:000080", "a:-1", ".",
            "..",
            ".a", "a..b", "a..", "%61", "a%", "ä", "[", "[]", "[::1", "::1", "[::1]x", "[:]", "[1]", "[::g]",
            "[::1%25lo]",
            "[v1.a]", "http://a", "a\\b", "a;b", "(a)", "a=b", "\"a\"", "a\tb", "a:8 0", "[::1]:x", "a|b",
        ])
    func badHost(value: String) {
        // A port of no digits is allowed by the grammar (RFC 3986 §3.2.3).
        let expected: Refusal = value == "a:" ? .none : .badHost
        #expect(refusal("GET / HTTP/1.1", "Host: \(value)") == expected)
    }

    @Test func aHostLongerThanAnyIsRefused() {
        #expect(refusal("GET / HTTP/1.1", "Host: " + String(repeating: "a", count: 255)) == .none)
        #expect(refusal("GET / HTTP/1.1", "Host: " + String(repeating: "a", count: 256)) == .badHost)
    }

    // MARK: Limits

    @Test func aTargetOverTheLimitGets414AsSoonAsItIsSeen() {
        let limits = HeadLimits(headBytes: 4096, fields: 4, targetBytes: 100)
        #expect(refusal("GET /" + String(repeating: "a", count: 99) + " HTTP/1.1", "Host: a", limits: limits) == .none)
        #expect(
            refusal("GET /" + String(repeating: "a", count: 100) + " HTTP/1.1", "Host: a", limits: limits)
                == .targetTooLong)
        let part = "GET /" + String(repeating: "a", count: 100)
        #expect(ScannedRequest(part, limits: limits).head.refusal.status == 414)
        #expect(ScannedRequest(String(part.dropLast()), limits: limits).status == .incomplete)
    }

    @Test func aHeadOverTheLimitGets431WhetherItIsAllThereOrNot() {
        let limits = HeadLimits(headBytes: 128, fields: 16, targetBytes: 100)
        func head(_ count: Int) -> String {
            let start = "GET / HTTP/1.1\r\nHost: a\r\nX: "
            return start + String(repeating: "x", count: count - start.utf8.count - 4) + "\r\n\r\n"
        }
        #expect(ScannedRequest(head(128), limits: limits).status == .complete)
        #expect(ScannedRequest(head(128) + "more", limits: limits).status == .complete)
        #expect(ScannedRequest(head(129), limits: limits).head.refusal == .headTooLarge)
        #expect(ScannedRequest(head(4000), limits: limits).head.refusal.status == 431)
        let part = String(decoding: head(4000).utf8.prefix(127), as: UTF8.self)
        #expect(ScannedRequest(part, limits: limits).status == .incomplete)
        #expect(ScannedRequest(part + "x", limits: limits).head.refusal == .headTooLarge)
    }

    @Test func moreFieldsThanTheLimitGet431() {
        let fields = Array(repeating: "X: y", count: 127).map { $0 + "\r\n" }.joined()
        #expect(ScannedRequest("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n").status == .complete)
        #expect(ScannedRequest("GET / HTTP/1.1\r\nHost: a\r\n\(fields)Y: z\r\n\r\n").head.refusal == .tooManyFields)
        #expect(Refusal.tooManyFields.status == 431)
    }

    @Test func moreNamesInConnectionThanAreKeptGet431() {
        let names = (0..<16).map { "n\($0)" }.joined(separator: ", ")
        #expect(refusal(fields: "Connection: \(names)") == .none)
        #expect(refusal(fields: "Connection: \(names)", "Connection: close, keep-alive, te") == .none)
        #expect(refusal(fields: "Connection: \(names), other") == .tooManyConnectionOptions)
        #expect(Refusal.tooManyConnectionOptions.status == 431)
    }

    // MARK: Early answers

    @Test("the method is known as soon as its name is, however the head goes on, and not before")
    func methodOfARefusedRequest() {
        let long = String(repeating: "x", count: 200)
        let limits = HeadLimits(headBytes: 128, fields: 2, targetBytes: 64)
        for rest in [
            " /\(long) HTTP/1.1\r\n", " / HTTP/1.1\r\nX: \(long)\r\n\r\n", " / HTTP/2.0\r\n\r\n", " / HTTP/1.1\r\n\r\n",
            "\r\n",
            " a HTTP/1.1\r\nHost: a\r\n\r\n", " / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n",
            "\t/ HTTP/1.1\r\n",
            " / HTTP/1.1\nHost: a\r\n\r\n", "\n", "\0", "  /", " / x", "\"", "(",
            " / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\n\r\n",
            " / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", " / HTTP/1.1\r\nX_Y\r\n\r\n", " /\r\n\r\n",
        ] {
            for (name, method) in [("HEAD", Method.head), ("GET", .get), ("CONNECT", .connect), ("FOO", .other)] {
                let whole = ScannedRequest("\r\n" + name + rest, limits: limits)
                #expect(whole.status == .refused && whole.head.method == method, "\(name)\(rest)")
                for count in 0...(name + rest).utf8.count {
                    let part = ScannedRequest(String((name + rest).prefix(count)), limits: limits)
                    #expect(part.head.method == (count > name.utf8.count ? method : .other), "\(name)\(rest)")
                }
            }
        }
        #expect(ScannedRequest(String(repeating: "HEAD", count: 9) + " /").head.method == .other)
        #expect(ScannedRequest(String(repeating: "\r\n", count: 5) + "HEAD / HTTP/1.1\r\n\r\n").head.method == .other)
    }

    @Test func theMethodOfAnEarlierRequestIsForgotten() {
        var head = RequestHead()
        let first = PaddedBuffer("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        for text in ["", "\r\n", "HEA", "HEAD", "(", "\n", "GET"] {
            _ = unsafe head.scan(first.raw, limits: HeadLimits())
            #expect(head.method == .head)
            let next = PaddedBuffer(text.utf8)
            _ = unsafe head.scan(next.raw, limits: HeadLimits())
            #expect(head.method == .other && head.byteCount == 0, "\(text)")
        }
    }

    @Test("a refused head is refused from its first wrong byte on, and a good one never before its end")
    func refusalsAreFinal() {
        let samples = [
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\nGET / HTTP/1.0\r\n\r\n", "GET / HTTP/2.0\r\n\r\n",
            "POST /x HTTP/1.1\r\nHost: a.example:80\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "GET /\r\n\r\n",
            "GET http://a.example:8/x HTTP/1.1\r\nHost: b\r\n\r\n", "GET / HTTP/1.1x\r\n\r\n", "X\r\n\r\n",
        ]
        for sample in samples {
            let whole = ScannedRequest(sample)
            var hasRefused = false
            for count in 0...sample.utf8.count {
                let part = ScannedRequest(bytes: Array(sample.utf8.prefix(count)))
                if hasRefused || part.status == .refused {
                    hasRefused = true
                    #expect(part.status == .refused && part.head.refusal.status == whole.head.refusal.status)
                } else {
                    let expected: HeadStatus = count == sample.utf8.count ? .complete : .incomplete
                    #expect(part.status == expected, "\(sample.prefix(count))")
                }
            }
            #expect(hasRefused == (whole.status == .refused))
        }
    }
}
