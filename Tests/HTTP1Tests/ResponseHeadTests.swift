import HTTP1
import Testing

/// What is understood of a service's reply, what is refused, and how it goes on to the client.
@Suite struct ResponseHeadTests {
    private func reply(_ lines: String..., to method: Method = .get) -> ScannedReply {
        let scanned = ScannedReply(lines.map { $0 + "\r\n" }.joined() + "\r\nrest", to: method)
        #expect(scanned.status == .complete, "\(lines): \(scanned.head.refusal)")
        return scanned
    }

    private func refusal(_ lines: String..., limits: HeadLimits = HeadLimits()) -> Refusal {
        ScannedReply(lines.map { $0 + "\r\n" }.joined() + "\r\n", limits: limits).head.refusal
    }

    @Test func theStatusLineIsRead() {
        #expect(reply("HTTP/1.1 200 OK").head.status == 200)
        #expect(reply("HTTP/1.1 404 Not Found").head.status == 404)
        #expect(reply("HTTP/1.1 299 ").head.status == 299)
        #expect(reply("HTTP/1.1 599").head.status == 599)
        #expect(reply("HTTP/1.0 200 K\u{e4}se\tund mehr").head.minorVersion == 0)
        #expect(reply("HTTP/1.3 999 x").head.minorVersion == 1)
        let scanned = reply("HTTP/1.1 200 OK", "A: b")
        #expect(scanned.head.byteCount == "HTTP/1.1 200 OK\r\nA: b\r\n\r\n".utf8.count)
    }

    @Test(
        "a status line that is none is refused",
        arguments: [
            "HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1 20", "HTTP/1.1 20 OK", "HTTP/1.1  200 OK", "HTTP/1.1 2000",
            "HTTP/1.1 20x OK",
            "HTTP/1.1 099 x", "HTTP/1.1 -20 x", "HTTP/1.1 200\tOK", "HTTP/1.1\t200 OK", "HTTP/1.1 200x",
            "HTTP/1.1200 OK",
        ])
    func badStatus(line: String) { #expect(refusal(line) == .badStatusLine) }

    @Test(
        "another version is refused",
        arguments: [
            "HTTP/2.0 200 OK", "http/1.1 200 OK", "ICY 200 OK", "", "HTTP/1.x 200 OK", " HTTP/1.1 200 OK", "<html>",
        ])
    func badVersion(line: String) { #expect(refusal(line) == .badVersion) }

    @Test func faultsInLinesAreRefused() {
        #expect(refusal("HTTP/1.1 200 O\0K") == .nullByte)
        #expect(refusal("HTTP/1.1 200 OK\rX") == .bareCarriageReturn)
        #expect(ScannedReply("HTTP/1.1 200 OK\nA: b\n\n").head.refusal == .bareLineFeed)
        #expect(refusal("HTTP/1.1 200 OK", "A : b") == .spaceBeforeColon)
        #expect(refusal("HTTP/1.1 200 OK", "A: b", " c") == .lineFolding)
        #expect(refusal("HTTP/1.1 200 OK", "A") == .missingColon)
    }

    @Test func faultsInTheFramingAreRefused() {
        let start = "HTTP/1.1 200 OK"
        #expect(refusal(start, "Content-Length: 5", "Transfer-Encoding: chunked") == .lengthWithTransferEncoding)
        #expect(refusal(start, "Content-Length: 5", "Content-Length: 6") == .conflictingLengths)
        #expect(refusal(start, "Content-Length: 5, 5") == .badContentLength)
        #expect(refusal(start, "Content-Length: -1") == .badContentLength)
        #expect(refusal(start, "Transfer-Encoding: gzip, chunked") == .unknownTransferCoding)
        #expect(refusal("HTTP/1.0 200 OK", "Transfer-Encoding: chunked") == .transferEncodingInOldVersion)
    }

    @Test func limitsHoldForRepliesToo() {
        let limits = HeadLimits(headBytes: 64, fields: 2, targetBytes: 1)
        #expect(refusal("HTTP/1.1 200 OK", "A: 1", "B: 2", "C: 3", limits: limits) == .tooManyFields)
        #expect(refusal("HTTP/1.1 200 OK", "A: " + String(repeating: "x", count: 64), limits: limits) == .headTooLarge)
        #expect(refusal("HTTP/1.1 200 " + String(repeating: "x", count: 64), limits: limits) == .headTooLarge)
    }

    @Test("a part of a reply's head is never refused, and never complete")
    func parts() {
        for sample in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.0 404\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ] {
            for count in 0..<sample.utf8.count {
                let part = String(decoding: sample.utf8.prefix(count), as: UTF8.self)
                #expect(ScannedReply(part).status == .incomplete, "\(part)")
            }
        }
    }

    // MARK: Body

    @Test func theBodyIsFramedAsTheStandardSays() {
        #expect(reply("HTTP/1.1 200 OK").head.framing == .untilClose)
        #expect(reply("HTTP/1.1 200 OK", "Content-Length: 0").head.framing == .none)
        #expect(reply("HTTP/1.1 200 OK", "Transfer-Encoding: Chunked").head.framing == .chunked)
        let counted = reply("HTTP/1.1 200 OK", "Content-Length: 12", "Content-Length: 12")
        #expect(counted.head.framing == .counted && counted.head.contentLength == 12)
    }

    @Test func someRepliesHaveNoBodyWhateverTheySay() {
        for framing in ["X: y", "Content-Length: 5", "Transfer-Encoding: chunked"] {
            #expect(reply("HTTP/1.1 200 OK", framing, to: .head).head.framing == .none)
            #expect(reply("HTTP/1.1 500 x", framing, to: .head).head.framing == .none)
            for status in ["100 x", "101 x", "103 x", "204 x", "304 x"] {
                #expect(reply("HTTP/1.1 \(status)", framing).head.framing == .none)
            }
            for status in ["200 x", "299 x"] {
                #expect(reply("HTTP/1.1 \(status)", framing, to: .connect).head.framing == .none)
            }
        }
        #expect(reply("HTTP/1.1 403 x", "Content-Length: 5", to: .connect).head.framing == .counted)
        #expect(reply("HTTP/1.1 200 x", "Content-Length: 5", to: .options).head.framing == .counted)
    }

    @Test func interimAndSwitchingRepliesAreTold() {
        #expect(reply("HTTP/1.1 100 Continue").isInterim)
        #expect(reply("HTTP/1.1 103 Early Hints").isInterim)
        let switching = reply("HTTP/1.1 101 Switching Protocols")
        #expect(switching.head.isSwitching && !switching.head.isInterim)
        #expect(!reply("HTTP/1.1 200 OK").isInterim)
    }

    @Test func theStreamIsKeptOnlyIfTheReplyHasAnEnd() {
        #expect(reply("HTTP/1.1 200 OK", "Content-Length: 0").keepAlive)
        #expect(reply("HTTP/1.1 204 x").keepAlive)
        #expect(!reply("HTTP/1.1 200 OK").keepAlive)
        #expect(!reply("HTTP/1.1 200 OK", "Content-Length: 0", "Connection: close").keepAlive)
        #expect(!reply("HTTP/1.0 200 OK", "Content-Length: 0").keepAlive)
        #expect(reply("HTTP/1.0 200 OK", "Content-Length: 0", "Connection: keep-alive").keepAlive)
    }

    // MARK: Editing

    @Test func aReplyGoesOnAsHTTP11() {
        #expect(
            reply("HTTP/1.0 200 Fine", "A:b", "Content-Length: 4").edited()
                == "HTTP/1.1 200 Fine\r\nA:b\r\nContent-Length: 4\r\n\r\n")
        #expect(reply("HTTP/1.1 404", "Content-Length: 0").edited() == "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n")
    }

    @Test func hopByHopFieldsGoNoFurther() {
        #expect(
            reply(
                "HTTP/1.1 200 OK", "Connection: keep-alive, X", "Keep-Alive: timeout=5", "x: y", "Upgrade: h2c", "A: b",
                "Proxy-Authenticate: z", "TE: trailers", "Proxy-Connection: close", "Trailer: T", "Host: h",
                "X-Forwarded-For: f", "Content-Length: 0"
            ).edited()
                == "HTTP/1.1 200 OK\r\nA: b\r\nTrailer: T\r\nHost: h\r\nX-Forwarded-For: f\r\nContent-Length: 0\r\n\r\n"
        )
    }

    @Test func namesWithUnderscoresAreOrdinaryInAReply() {
        let lines = ["Keep_Alive: 1", "Proxy_Connection: 2", "X_Forwarded_For: 3", "Content_Length: 4"]
        let head = "HTTP/1.1 200 OK\r\n" + lines.map { $0 + "\r\n" }.joined()
        #expect(ScannedReply(head + "\r\n").edited() == head + "\r\n")
        let named = ScannedReply(head + "Connection: keep_alive, PROXY_connection\r\n\r\n").edited()
        #expect(named == "HTTP/1.1 200 OK\r\nX_Forwarded_For: 3\r\nContent_Length: 4\r\n\r\n")
        #expect(ScannedReply(head + "\r\n").head.framing == .untilClose)
    }

    @Test func theEndOfTheConnectionIsTold() {
        let keeping = reply("HTTP/1.1 200 OK", "Connection: keep-alive", "Content-Length: 0")
        #expect(keeping.edited(close: true) == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        #expect(keeping.edited() == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        #expect(
            keeping.edited(clientMinorVersion: 0)
                == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n")
    }

    @Test func aClientOfHTTP10GetsNoTransferEncoding() {
        let chunked = reply("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "A: b")
        #expect(
            chunked.edited(close: true, clientMinorVersion: 0) == "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\n"
        )
        #expect(chunked.edited() == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n")
    }

    @Test func aFramingThatAReplyCannotHaveIsLeftOut() {
        #expect(reply("HTTP/1.1 204 x", "Content-Length: 5", "A: b").edited() == "HTTP/1.1 204 x\r\nA: b\r\n\r\n")
        #expect(
            reply("HTTP/1.1 103 x", "Transfer-Encoding: chunked", "A: b").edited() == "HTTP/1.1 103 x\r\nA: b\r\n\r\n")
        #expect(reply("HTTP/1.1 200 x", "Content-Length: 5", to: .connect).edited() == "HTTP/1.1 200 x\r\n\r\n")
        #expect(
            reply("HTTP/1.1 304 x", "Content-Length: 5").edited() == "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n")
        #expect(
            reply("HTTP/1.1 200 x", "Content-Length: 5", to: .head).edited()
                == "HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n")
    }

    @Test func theReplyThatAsksForAnUpgradeKeepsItsFields() {
        for lines in [["Upgrade: TLS/1.0, HTTP/1.1"], ["upgrade:h2c", "Upgrade: websocket"], ["UPGRADE: h2c"]] {
            let upgrade = lines.map { $0 + "\r\n" }.joined()
            for connection in ["", "Connection: upgrade\r\n", "Connection: close, x\r\n"] {
                let scanned = ScannedReply(
                    "HTTP/1.1 426 Upgrade Required\r\n\(upgrade)\(connection)Content-Length: 0\r\n\r\n")
                let start = "HTTP/1.1 426 Upgrade Required\r\n\(upgrade)Content-Length: 0\r\n"
                #expect(scanned.edited() == start + "Connection: Upgrade\r\n\r\n")
                #expect(scanned.edited(close: true) == start + "Connection: Upgrade, close\r\n\r\n")
                #expect(scanned.edited(clientMinorVersion: 0) == start + "Connection: Upgrade, keep-alive\r\n\r\n")
            }
        }
        let none = ScannedReply("HTTP/1.1 426 x\r\nContent-Length: 0\r\n\r\n")
        #expect(none.edited() == "HTTP/1.1 426 x\r\nContent-Length: 0\r\n\r\n")
        #expect(none.edited(close: true).hasSuffix("\r\nConnection: close\r\n\r\n"))
    }

    @Test func theReplyThatAsksForCredentialsKeepsItsFields() {
        for method in [Method.connect, .get, .head] {
            for connection in ["", "Connection: Proxy-Authenticate, proxy-connection\r\n"] {
                let scanned = ScannedReply(
                    "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\(connection)proxy-authenticate: B\r\n"
                        + "Proxy-Connection: close\r\nContent-Length: 0\r\n\r\n", to: method)
                #expect(
                    scanned.edited() == "HTTP/1.1 407 x\r\nProxy-Authenticate: Basic realm=\"a\"\r\n"
                        + "proxy-authenticate: B\r\nContent-Length: 0\r\n\r\n")
            }
        }
        #expect(!reply("HTTP/1.1 401 x", "Proxy-Authenticate: y").edited().contains("y"))
        #expect(!reply("HTTP/1.1 200 x", "Proxy-Authenticate: y", to: .connect).edited().contains("y"))
    }

    @Test func onlyASwitchKeepsUpgrade() {
        #expect(
            reply("HTTP/1.1 101 Switching", "Upgrade: websocket", "Connection: upgrade").edited(close: true)
                == "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        #expect(
            reply("HTTP/1.1 200 x", "Upgrade: websocket", "Content-Length: 0").edited().contains("Upgrade") == false)
    }

    @Test func interimRepliesAndTunnelsSayNothingOfTheConnection() {
        #expect(reply("HTTP/1.1 100 Continue").edited(close: true) == "HTTP/1.1 100 Continue\r\n\r\n")
        #expect(reply("HTTP/1.1 200 x", to: .connect).edited(clientMinorVersion: 0) == "HTTP/1.1 200 x\r\n\r\n")
    }

    // MARK: Date

    private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"

    @Test func aReplyWithoutDateGetsOne() {
        let added = "Date: \(Self.date)\r\n\r\n"
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
            "HTTP/1.0 404\r\nDates: x\r\nDat: y\r\nX-Date: z\r\nEtag: d\r\n",
            "HTTP/1.1 304 x\r\nLast-Modified: \(Self.date)\r\n", "HTTP/1.1 204 x\r\n",
            "HTTP/1.1 599 \r\nVary: date\r\n",
        ] {
            let scanned = ScannedReply(head + "\r\n")
            #expect(scanned.edited(date: Self.date) == scanned.edited().dropLast() + added)
            #expect(scanned.edited(close: true, date: Self.date).hasSuffix("\r\nConnection: close\r\n" + added))
        }
        #expect(reply("HTTP/1.1 200 x", to: .connect).edited(date: Self.date) == "HTTP/1.1 200 x\r\n" + added)
        let upgrade = reply("HTTP/1.1 426 x", "Upgrade: a", "Content-Length: 0")
        #expect(upgrade.edited(close: true, date: Self.date).hasSuffix("Connection: Upgrade, close\r\n" + added))
    }

    @Test func aDateOfTheServiceStays() {
        for line in ["Date: \(Self.date)", "date:x", "DATE:", "dAtE: Mon, 01 Jan 1999 00:00:00 GMT"] {
            for others in [[], ["A: b", "Connection: close, x, dates"], ["Connection: a", "Keep-Alive: date"]] {
                let lines = (others + [line]).map { $0 + "\r\n" }.joined()
                let scanned = ScannedReply("HTTP/1.1 200 OK\r\n\(lines)Content-Length: 0\r\n\r\n")
                #expect(scanned.edited(date: Self.date) == scanned.edited())
                #expect(scanned.edited().contains("\r\n\(line)\r\n"))
            }
        }
    }

    @Test func aDateThatConnectionTakesAwayIsReplaced() {
        for lines in [["Connection: Date", "Date: x"], ["date: x", "A: b", "connection: close, DATE"]] {
            let text = lines.map { $0 + "\r\n" }.joined()
            let edited = ScannedReply("HTTP/1.1 200 OK\r\n\(text)\r\n").edited(date: Self.date)
            #expect(edited.hasSuffix("\r\nDate: \(Self.date)\r\n\r\n") && !edited.lowercased().contains("date: x"))
        }
    }

    @Test func repliesThatAreNotFinalGetNoDate() {
        for status in ["100", "101", "103", "199"] {
            let scanned = reply("HTTP/1.1 \(status) x")
            #expect(scanned.edited(date: Self.date) == scanned.edited())
        }
    }

    @Test func theDateOfARequestIsOrdinary() {
        let scanned = ScannedRequest("GET / HTTP/1.1\r\nHost: a\r\nDate: x\r\nConnection: y\r\nY: z\r\n\r\n")
        #expect(String(decoding: scanned.edited(), as: UTF8.self).contains("\r\nDate: x\r\n"))
        let named = ScannedRequest("GET / HTTP/1.1\r\nHost: a\r\nDate: x\r\nConnection: date\r\n\r\n")
        #expect(!String(decoding: named.edited(), as: UTF8.self).contains("Date"))
    }

    @Test func theLongestHeadFitsItsRoom() {
        let most = reply("HTTP/1.1 426", "Upgrade:x")
        #expect(most.edited(clientMinorVersion: 0, date: Self.date).utf8.count > most.head.byteCount + 64)
        let edited = reply("HTTP/1.1 200", "Content-Length:0").edited(clientMinorVersion: 0)
        #expect(edited == "HTTP/1.1 200 \r\nContent-Length:0\r\nConnection: keep-alive\r\n\r\n")
    }
}
