import HTTP1
import Testing

/// The proxy's own replies.
@Suite struct CannedReplyTests {
    private static let statuses: [UInt16] = [
        400, 404, 405, 408, 414, 431, 500, 501, 502, 503, 504, 505, 508,
    ]

    private static let causes = CannedReply.Cause.allCases

    private func reply(
        _ status: UInt16, cause: CannedReply.Cause = .none, retry: Int = 0, close: Bool = false, bodyless: Bool = false,
        date: String = ""
    ) -> String {
        let dateBuffer = PaddedBuffer(date.utf8)
        let bytes = unsafe written(room: CannedReply.longest) { destination in
            unsafe CannedReply.write(
                status: status, cause: cause, retryAfterSeconds: retry, close: close, bodyless: bodyless,
                date: dateBuffer.raw, to: destination)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("each reply is a valid head with the body that it announces", arguments: statuses)
    func valid(status: UInt16) {
        for close in [false, true] {
            for retry in [0, 1, 10, 86_400] {
                let text = reply(status, retry: retry, close: close)
                let scanned = ScannedReply(text)
                #expect(scanned.status == .complete && scanned.head.status == status)
                #expect(scanned.head.framing == .counted && scanned.head.keepAlive == !close)
                #expect(scanned.head.byteCount + Int(scanned.head.contentLength) == text.utf8.count)
                #expect(text.contains("\r\nRetry-After: \(retry)\r\n") == (retry > 0))
                #expect(text.hasSuffix("\n") && !text.contains("\n\n"))
            }
        }
    }

    @Test("to HEAD the body is described and left out", arguments: statuses)
    func bodyless(status: UInt16) {
        let whole = reply(status, retry: 1, close: true)
        let head = reply(status, retry: 1, close: true, bodyless: true)
        #expect(head.hasSuffix("\r\n\r\n") && whole.hasPrefix(head) && whole.utf8.count > head.utf8.count)
    }

    @Test("a reply to HEAD has no content, whatever its status and cause, and is the head of the other one")
    func noContent() {
        for status in UInt16(200)...599 {
            for cause in Self.causes {
                for close in [false, true] {
                    let whole = reply(status, cause: cause, close: close)
                    let head = reply(status, cause: cause, close: close, bodyless: true)
                    let end = whole.firstRange(of: "\r\n\r\n").map { $0.upperBound }
                    #expect(end != nil && head == String(whole[..<(end ?? whole.endIndex)]), "\(status)")
                    let scanned = ScannedReply(head, to: .head)
                    #expect(scanned.status == .complete && scanned.head.byteCount == head.utf8.count)
                }
            }
        }
    }

    @Test func aReplyTellsTheDateIfThereIsOne() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT"
        for status in Self.statuses {
            for bodyless in [false, true] {
                let plain = reply(status, close: true, bodyless: bodyless)
                let dated = reply(status, close: true, bodyless: bodyless, date: date)
                #expect(!plain.contains("Date:") && dated.contains("\r\nDate: \(date)\r\n"))
                #expect(dated.replacing("Date: \(date)\r\n", with: "") == plain)
            }
        }
    }

    @Test func theWholeReply() {
        #expect(
            reply(404, close: true)
                == "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
                + "Content-Length: 48\r\nConnection: close\r\n\r\nno service is registered for this host and path\n")
    }

    @Test func anOptionsThatEndsHereGetsNoContent() {
        for bodyless in [false, true] {
            #expect(
                reply(200, bodyless: bodyless)
                    == "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n")
            #expect(reply(200, close: true, bodyless: bodyless).hasSuffix("0\r\nConnection: close\r\n\r\n"))
        }
        #expect(ScannedReply(reply(200), to: .options).head.framing == .none)
    }

    @Test func aTraceThatEndsHereIsToldWhatIsAllowed() {
        #expect(reply(405).contains("\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT\r\n"))
        for status in Self.statuses where status != 405 { #expect(!reply(status).contains("Allow")) }
    }

    @Test func aStatusWithoutTextIsWrittenAsAFaultOfOurs() {
        #expect(reply(599).hasPrefix("HTTP/1.1 500 "))
        #expect(reply(201).hasPrefix("HTTP/1.1 500 "))
        #expect(reply(499).hasPrefix("HTTP/1.1 400 "))
    }

    @Test("every refusal has a reply of its status")
    func refusals() {
        for refusal in Refusal.allCases where refusal != .none {
            #expect(reply(refusal.status).hasPrefix("HTTP/1.1 \(refusal.status) "))
        }
    }

    // MARK: Refused replies

    @Test("each refusal of a reply has a cause, and its sentence says what is wrong")
    func replyCauses() {
        let start = "HTTP/1.1 200 OK\r\n"
        let fields = String(repeating: "A: b\r\n", count: 129)
        let options = (0..<17).map { "n\($0)" }.joined(separator: ",")
        for (head, cause, words) in [
            (start + "A: " + String(repeating: "x", count: 65_536), CannedReply.Cause.replyTooLarge, "too large"),
            (start + fields + "\r\n", .replyTooManyFields, "too many fields"),
            (start + "Connection: \(options)\r\n\r\n", .replyTooManyFields, "too many fields"),
            ("SSH-2.0-Go\r\n", .replyNotHTTP, "status line"), ("HTTP/2 200\r\n\r\n", .replyNotHTTP, "status line"),
            ("HTTP/1.1 OK\r\n\r\n", .replyNotHTTP, "status line"),
            ("HTTP/1.1 20\r\n\r\n", .replyNotHTTP, "status line"),
            (start + "A: b\n\r\n", .replyBadFields, "field"), (start + "A: b\rc\r\n\r\n", .replyBadFields, "field"),
            (start + "A: \0\r\n\r\n", .replyBadFields, "field"), (start + "A: \u{1}\r\n\r\n", .replyBadFields, "field"),
            (start + "A: b\r\n c\r\n\r\n", .replyBadFields, "field"), (start + "A\r\n\r\n", .replyBadFields, "field"),
            (start + "A : b\r\n\r\n", .replyBadFields, "field"), (start + "(: b\r\n\r\n", .replyBadFields, "field"),
            (start + "Content-Length: x\r\n\r\n", .replyBadFraming, "Content-Length"),
            (start + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", .replyBadFraming, "Content-Length"),
            (start + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .replyBadFraming, "Transfer-Encoding"),
            (start + "Transfer-Encoding: x\r\n\r\n", .replyBadFraming, "Transfer-Encoding"),
            (start + "Transfer-Encoding: chunked;\r\n\r\n", .replyBadFraming, "Transfer-Encoding"),
            ("HTTP/1.0 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", .replyBadFraming, "Transfer-Encoding"),
            (start + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .replyBadFraming, "ends"),
        ] {
            let scanned = ScannedReply(head)
            #expect(scanned.status == .refused && scanned.head.refusal.replyCause == cause, "\(head.prefix(60))")
            let text = reply(502, cause: cause)
            #expect(text.hasPrefix("HTTP/1.1 502 Bad Gateway\r\n") && text.contains(words), "\(text)")
        }
        #expect(reply(502, cause: .replyUnaskedSwitch).contains("another protocol"))
    }

    @Test("every cause has a sentence of its own, and changes nothing where it does not belong")
    func sentences() {
        let others: [UInt16: Set<CannedReply.Cause>] = [400: [.plain], 503: [.noRoom], 504: [.bodyNotTaken]]
        let texts = Set(Self.causes.map { reply(502, cause: $0) })
        // What a port speaks is said with 400, and who takes no body with 504.
        #expect(texts.count == Self.causes.count - 2)
        for status in Self.statuses where status != 502 {
            for cause in Self.causes {
                let belongs = others[status]?.contains(cause) == true
                #expect((reply(status, cause: cause) == reply(status)) == !belongs, "\(status), \(cause)")
            }
        }
    }

    @Test func whatOnlyRequestsAreRefusedForIsNoCause() {
        for refusal in [
            Refusal.none, .badMethod, .missingHost, .targetTooLong, .foldedFramingName, .versionNotSupported,
        ] {
            #expect(refusal.replyCause == .none)
        }
    }
}
