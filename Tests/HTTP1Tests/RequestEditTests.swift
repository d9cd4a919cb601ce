import HTTP1
import Testing

/// The head as it goes on to the service, byte for byte.
@Suite struct RequestEditTests {
    private let forwarded = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"

    private func edited(_ lines: String..., isTLS: Bool = false, isTrusted: Bool = false) -> String {
        let scanned = ScannedRequest(lines.map { $0 + "\r\n" }.joined() + "\r\nbody")
        #expect(scanned.status == .complete, "\(lines): \(scanned.head.refusal)")
        return String(decoding: scanned.edited(isTLS: isTLS, isTrusted: isTrusted), as: UTF8.self)
    }

    /// What is sent for a request to host `a` with these fields.
    private func expectFields(_ lines: [String], kept: [String], sourceLocation: SourceLocation = #_sourceLocation) {
        let input = "GET / HTTP/1.1\r\nHost: a\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
        let output =
            "GET / HTTP/1.1\r\nHost: a\r\n" + kept.map { $0 + "\r\n" }.joined() + forwarded
            + "X-Forwarded-Host: a\r\n\r\n"
        let scanned = ScannedRequest(input)
        #expect(scanned.status == .complete, sourceLocation: sourceLocation)
        #expect(String(decoding: scanned.edited(), as: UTF8.self) == output, sourceLocation: sourceLocation)
    }

    @Test func whatIsOrdinaryPassesAsItIs() {
        #expect(
            edited("GET /a?b HTTP/1.1", "hOSt:  a:80 ", "X:y", "Empty:", "Trailer: z", "Cookie: \t a=b ")
                == "GET /a?b HTTP/1.1\r\nhOSt:  a:80 \r\nX:y\r\nEmpty:\r\nTrailer: z\r\nCookie: \t a=b \r\n" + forwarded
                + "X-Forwarded-Host: a:80\r\n\r\n")
    }

    @Test func emptyLinesBeforeTheRequestStayBehind() {
        let scanned = ScannedRequest("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(String(decoding: scanned.edited(), as: UTF8.self).hasPrefix("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded"))
    }

    @Test func theVersionIsAlways11() {
        #expect(edited("GET / HTTP/1.0", "Host: a").hasPrefix("GET / HTTP/1.1\r\nHost: a\r\n"))
        #expect(edited("GET / HTTP/1.4", "Host: a").hasPrefix("GET / HTTP/1.1\r\nHost: a\r\n"))
    }

    @Test func aRequestWithoutHostGetsAnEmptyOne() {
        #expect(edited("GET / HTTP/1.0", "X: y") == "GET / HTTP/1.1\r\nHost:\r\nX: y\r\n" + forwarded + "\r\n")
        #expect(edited("GET / HTTP/1.0") == "GET / HTTP/1.1\r\nHost:\r\n" + forwarded + "\r\n")
        #expect(edited("GET / HTTP/1.1", "Host:") == "GET / HTTP/1.1\r\nHost:\r\n" + forwarded + "\r\n")
    }

    @Test func theAuthorityOfAnAbsoluteTargetReplacesHost() {
        #expect(
            edited("GET http://b:81/x HTTP/1.1", "X: y", "Host: a", "Z: z")
                == "GET /x HTTP/1.1\r\nHost: b:81\r\nX: y\r\nZ: z\r\n" + forwarded
                + "X-Forwarded-Host: b:81\r\n\r\n")
        #expect(
            edited("GET http://b HTTP/1.0")
                == "GET / HTTP/1.1\r\nHost: b\r\n" + forwarded + "X-Forwarded-Host: b\r\n\r\n")
    }

    @Test(
        "an absolute target goes on in origin-form, with the path that routed it",
        arguments: [
            ("GET http://a.test/p?q", "GET /p?q", "/p"), ("GET http://a.test", "GET /", "/"),
            ("GET http://a.test/", "GET /", "/"), ("GET http://a.test?q", "GET /?q", "/"),
            ("GET http://a.test?", "GET /?", "/"), ("POST HTTPS://A:8/x/../y?/../z", "POST /x/../y?/../z", "/y"),
            ("GET http://[::1]:80//x", "GET //x", "//x"), ("GET http://a/http://b/", "GET /http://b/", "/http://b/"),
            ("GET ws://a./%2e/x?y=http://c", "GET /%2e/x?y=http://c", "/x"),
            ("OPTIONS http://a.test", "OPTIONS *", "/"),
            ("OPTIONS http://a.test:80", "OPTIONS *", "/"), ("OPTIONS http://a.test/", "OPTIONS /", "/"),
            ("OPTIONS http://a.test?q", "OPTIONS /?q", "/"), ("OPTIONS http://a.test/*", "OPTIONS /*", "/*"),
            ("OPTIONS *", "OPTIONS *", "/"), ("HEAD http://a?b?c", "HEAD /?b?c", "/"),
            ("options http://a", "options /", "/"),
        ])
    func originForm(start: String, expected: String, path: String) {
        for version in ["1.0", "1.1"] {
            let scanned = ScannedRequest("\r\n\(start) HTTP/\(version)\r\nHost: b.test\r\n\r\n")
            let edited = String(decoding: scanned.edited(), as: UTF8.self)
            #expect(edited.hasPrefix("\(expected) HTTP/1.1\r\nHost: "))
            #expect(scanned.path == Array(path.utf8) && ScannedRequest(edited).path == scanned.path)
        }
    }

    @Test func theTargetOfConnectReplacesHost() {
        for fields in [["Host: b.test", "X: y"], ["X: y", "Host:"], ["X: y", "Host: a.test:80"]] {
            let lines = fields.map { $0 + "\r\n" }.joined() + "\r\n"
            let scanned = ScannedRequest("CONNECT a.test:80 HTTP/1.1\r\n" + lines)
            #expect(
                String(decoding: scanned.edited(host: "192.0.2.1"), as: UTF8.self)
                    == "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\nX: y\r\n" + forwarded
                    + "X-Forwarded-Host: a.test:80\r\n\r\n")
        }
        #expect(edited("CONNECT a.test:80 HTTP/1.0").hasPrefix("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n"))
    }

    @Test func aRequestWithoutHostIsCompletedWithTheAddressThatItCameTo() {
        for fields in [["X: y"], ["Host:", "X: y"], ["X: y", "host: \t"]] {
            let scanned = ScannedRequest(
                "GET /a HTTP/1.0\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
            let edited = String(decoding: scanned.edited(host: "[2001:db8::1]:8000"), as: UTF8.self)
            #expect(
                edited == "GET /a HTTP/1.1\r\nHost: [2001:db8::1]:8000\r\nX: y\r\n" + forwarded + "\r\n")
            #expect(scanned.host.isEmpty)
        }
        for request in ["GET / HTTP/1.0\r\nHost: a", "GET http://a/ HTTP/1.0\r\nX: y", "GET / HTTP/1.1\r\nHost:"] {
            let scanned = ScannedRequest(request + "\r\n\r\n")
            #expect(scanned.edited(host: "192.0.2.1:80") == scanned.edited())
        }
        #expect(RequestHead.longestLocalHost >= "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535".utf8.count)
    }

    // MARK: Hop-by-hop fields

    @Test func hopByHopFieldsGoNoFurther() {
        for line in [
            "Connection: keep-alive", "connection:close", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
            "Proxy-Authenticate: Basic", "Proxy-Authorization: Basic x", "TE: gzip", "Upgrade: websocket", "TE:",
        ] {
            expectFields([line], kept: [])
            expectFields(["A: b", line, "C: d"], kept: ["A: b", "C: d"])
            expectFields([line, line, "C: d"], kept: ["C: d"])
        }
    }

    @Test func fieldsThatConnectionNamesGoNoFurther() {
        expectFields(["Connection: x-hop", "X-Hop: 1", "X-Hops: 2"], kept: ["X-Hops: 2"])
        expectFields(["x-HOP: 1", "A: b", "Connection: close, X-Hop, ,y", "Y:"], kept: ["A: b"])
        expectFields(["Connection: a", "Connection: b", "B: 1", "A: 2", "C: 3"], kept: ["C: 3"])
        expectFields(["Connection: a^b", "A~B: 1", "A^b: 2"], kept: ["A~B: 1"])
    }

    @Test func connectionCannotNameWhatTheRequestNeeds() {
        let scanned = ScannedRequest(
            "POST / HTTP/1.1\r\n"
                + "Connection: host, content-length, expect, x-forwarded-for, X-Forwarded-Proto, x-other\r\n"
                + "Host: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nX-Other: 1\r\n\r\n")
        #expect(
            String(decoding: scanned.edited(), as: UTF8.self)
                == "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" + forwarded
                + "X-Forwarded-Host: a\r\n\r\n")
        let chunked = edited(
            "POST / HTTP/1.1", "Host: a", "Connection: Transfer-Encoding", "Transfer-Encoding: chunked")
        #expect(chunked.contains("\r\nTransfer-Encoding: chunked\r\n"))
    }

    @Test func ofTheTransferCodingsOnlyTrailersAreAcceptedFurther() {
        for lines in [
            ["TE: trailers"], ["te:Trailers"], ["Connection: TE", "TE: gzip, trailers ,x;q=1"],
            ["TE: x", "TE: trailers"],
        ] {
            expectFields(lines, kept: ["TE: trailers"])
        }
        expectFields(["TE: trailers;q=1", "TE: xtrailers"], kept: [])
    }

    @Test func anUpgradeGoesOnWithItsConnectionField() {
        #expect(
            edited("GET / HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: keep-alive, Upgrade", "Sec-X: y")
                == "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-X: y\r\nConnection: Upgrade\r\n" + forwarded
                + "X-Forwarded-Host: a\r\n\r\n")
    }

    @Test("of the protocols of an upgrade only h2c stays behind, whatever its version and case")
    func otherUpgrades() {
        for (values, kept) in [
            (["websocket, h2c"], "websocket"), (["h2c, websocket"], "websocket"), (["H2C/1,websocket"], "websocket"),
            (["h2c", "websocket"], "websocket"), (["websocket", "h2c/x"], "websocket"),
            (["a,h2c ,b/2 , c"], "a,b/2, c"), (["a", "h2c, b", "H2C", "c"], "a, b, c"), ([", ,h2c,, a"], "a"),
        ] {
            let lines = values.map { "Upgrade: \($0)\r\n" }.joined()
            for others in ["", "Connection: HTTP2-Settings\r\nHTTP2-Settings: x\r\n"] {
                let scanned = ScannedRequest(
                    "GET / HTTP/1.1\r\nHost: a\r\n\(lines)Connection: upgrade\r\n\(others)\r\n")
                #expect(scanned.isUpgrade)
                #expect(
                    String(decoding: scanned.edited(), as: UTF8.self)
                        == "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: \(kept)\r\nConnection: Upgrade\r\n" + forwarded
                        + "X-Forwarded-Host: a\r\n\r\n")
            }
        }
        for value in ["h2", "h2cx", "h2cx/1", "xh2c", "h2-c", "websocket, h2", "h2c;q=1"] {
            let edited = edited("GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: \(value)")
            #expect(edited.contains("\r\nUpgrade: \(value)\r\nConnection: Upgrade\r\n"))
        }
    }

    @Test("what is left of many upgrades fits where they were")
    func manyUpgrades() {
        for separator in [",", ", ", " ,"] {
            let members = Array(repeating: "a", count: 2000).joined(separator: separator)
            let scanned = ScannedRequest(
                "GET / HTTP/1.1\r\nHost:\r\nConnection:upgrade\r\nUpgrade:h2c,\(members)\r\n\r\n")
            let edited = String(decoding: scanned.edited(), as: UTF8.self)
            #expect(edited.contains("a,") && !edited.contains("h2c"))
        }
    }

    @Test func credentialsForAProxyGoOnWithConnectAlone() {
        for name in ["Proxy-Authorization", "proxy-authorization"] {
            let connect = edited("CONNECT a:1 HTTP/1.1", "Host: a:1", "\(name): Basic x", "Proxy-Authenticate: y")
            #expect(
                connect == "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\(name): Basic x\r\n" + forwarded
                    + "X-Forwarded-Host: a:1\r\n\r\n")
            #expect(
                !edited("GET http://a/ HTTP/1.1", "Host: a", "Connection: y", "\(name): Basic x").contains("Basic"))
        }
        #expect(!edited("CONNECT a:1 HTTP/1.1", "Host: a:1", "Proxy_Authorization: Basic x").contains("Basic"))
        let named = edited(
            "CONNECT a:1 HTTP/1.1", "Host: a", "Connection: Proxy-Authorization, y", "Proxy-Authorization: z", "Y: 1")
        #expect(named.contains("Proxy-Authorization: z\r\n") && !named.contains("Y: 1"))
    }

    @Test func maxForwardsIsOneLessForTheNextHop() {
        for method in ["OPTIONS", "TRACE"] {
            for (values, rest) in [
                (["1"], "0"), (["10"], "9"), (["010"], "9"), (["3", "2"], "1"), (["x", "7"], "6"),
                (["99999999999999999999"], "9223372036854775806"),
            ] {
                let lines = values.map { "max-forwards: \($0)\r\n" }.joined()
                let scanned = ScannedRequest(
                    "\(method) / HTTP/1.1\r\nHost: a\r\nA: b\r\n\(lines)Keep-Alive: x\r\n"
                        + "Max_Forwards: 9\r\nC: d\r\n\r\n"
                )
                #expect(
                    String(decoding: scanned.edited(), as: UTF8.self)
                        == "\(method) / HTTP/1.1\r\nHost: a\r\nA: b\r\nC: d\r\nMax-Forwards: \(rest)\r\n" + forwarded
                        + "X-Forwarded-Host: a\r\n\r\n")
            }
        }
    }

    @Test func maxForwardsPassesWhereItMeansNothing() {
        expectFields(["Max-Forwards: 5", "max_forwards: 6"], kept: ["Max-Forwards: 5", "max_forwards: 6"])
        #expect(edited("TRACE / HTTP/1.1", "Host: a", "Max-Forwards: x").contains("\r\nMax-Forwards: x\r\n"))
        #expect(!edited("TRACE / HTTP/1.1", "Host: a", "MAX_FORWARDS: 5").contains("5"))
        #expect(
            edited("TRACE / HTTP/1.1", "Host: a", "Connection: max-forwards", "Max-Forwards: 5")
                == "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 4\r\n" + forwarded + "X-Forwarded-Host: a\r\n\r\n")
    }

    @Test func aRepeatedLengthGoesOnOnce() {
        expectFields(["Content-Length: 5", "A: b", "Content-Length: 05"], kept: ["Content-Length: 5", "A: b"])
        expectFields(
            ["Content-Length: 5", "X: 1", "Content-Length: 05", "Connection: x"], kept: ["Content-Length: 5"])
    }

    @Test func aClientOfHTTP10IsNotMadeToWaitFor100() {
        #expect(!edited("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 1").contains("Expect"))
        #expect(edited("POST / HTTP/1.1", "Host: a", "Expect: 100-continue").contains("\r\nExpect: 100-continue\r\n"))
    }

    @Test("more lines than are noted are edited all the same")
    func overflow() {
        for count in 1...40 {
            let lines = (0..<count).flatMap { ["A\($0): b", "Keep-Alive: \($0)", "Content-Length: 0"] }
            let kept = ["A0: b", "Content-Length: 0"] + (1..<count).map { "A\($0): b" }
            expectFields(lines, kept: kept)
        }
    }

    // MARK: Names with underscores

    /// The name with each choice of its dashes replaced by underscores, one at least, in three cases.
    private func folded(_ name: String) -> [String] {
        let parts = name.split(separator: "-")
        let spellings = (1..<(1 << (parts.count - 1))).map { choice in
            parts.indices.dropFirst().reduce(String(parts[0])) { text, index in
                text + (choice >> (index - 1) & 1 == 1 ? "_" : "-") + parts[index]
            }
        }
        return spellings.flatMap { [$0, $0.lowercased(), $0.uppercased()] }
    }

    @Test("a hop-by-hop field goes no further if it is written with underscores either", arguments: [[], ["A: b"]])
    func foldedHopByHopFields(others: [String]) {
        for name in ["Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization"] {
            for name in folded(name) {
                expectFields(others + ["\(name): x"], kept: others)
                expectFields(["\(name): x"] + others + ["\(name):", "C: d"], kept: others + ["C: d"])
                // A name of another field makes the editor look at all lines again.
                expectFields(["Connection: \(name), y", "\(name): x", "Y: 1"] + others, kept: others)
            }
        }
    }

    @Test func whatAnUntrustedClientSaysOfOthersIsDroppedInEverySpelling() {
        for name in ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"] {
            #expect(folded(name).count == 9)
            for name in folded(name) {
                expectFields(["\(name): 6.6.6.6", "A: b"], kept: ["A: b"])
                expectFields(["Connection: \(name), y", "Y: 1", "A: b", "\(name): https"], kept: ["A: b"])
            }
        }
    }

    @Test func aTrustedClientIsBelievedInEverySpelling() {
        for name in folded("X-Forwarded-For") {
            #expect(
                edited("GET / HTTP/1.1", "\(name): 1.1.1.1", "Host: a", "X-Forwarded-For: 2.2.2.2", isTrusted: true)
                    == "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 192.0.2.7\r\n"
                    + "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n\r\n")
        }
        for (proto, host) in zip(folded("X-Forwarded-Proto"), folded("X-Forwarded-Host")) {
            #expect(
                edited(
                    "GET / HTTP/1.1", "Host: a", "Connection: y, \(host)", "\(proto): https", "\(host): b", "Y: 1",
                    isTrusted: true)
                    == "GET / HTTP/1.1\r\nHost: a\r\n\(proto): https\r\n\(host): b\r\n"
                    + "X-Forwarded-For: 192.0.2.7\r\n\r\n")
        }
    }

    @Test("names that only look like those with underscores pass", arguments: [[], ["Connection: y"]])
    func otherNamesWithUnderscores(others: [String]) {
        for name in [
            "X_Forwarded_Port", "X_Forwarded_Fo", "X__Forwarded_For", "_X_Forwarded_For", "Keep_Alives", "Proxy_Status",
            "XForwarded_For", "X_Real_IP", "Keep__Aliv", "kee_alive_", "content_type__", "Proxy_Authorizatio_",
        ] {
            expectFields(others + ["\(name): x"], kept: ["\(name): x"])
        }
    }

    // MARK: Forwarding

    @Test func whatAnUntrustedClientSaysOfOthersIsDropped() {
        expectFields(
            ["X-Forwarded-For: 1.2.3.4", "x-forwarded-proto:https", "X-Forwarded-HOST: evil", "X-Forwarded-Port: 1"],
            kept: ["X-Forwarded-Port: 1"])
    }

    @Test func aTrustedClientIsAppendedTo() {
        #expect(
            edited(
                "GET / HTTP/1.1", "X-Forwarded-For: 1.1.1.1, 2.2.2.2 ", "Host: a", "X-Forwarded-Proto: https",
                "x-forwarded-for:", "X-Forwarded-Host: b", "x-forwarded-for: 3.3.3.3", isTrusted: true)
                == "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\n"
                + "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7\r\n\r\n")
    }

    @Test func whatATrustedClientDoesNotSayIsSet() {
        #expect(
            edited("GET / HTTP/1.1", "Host: a:1", isTLS: true, isTrusted: true)
                == "GET / HTTP/1.1\r\nHost: a:1\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n"
                + "X-Forwarded-Host: a:1\r\n\r\n")
    }

    @Test func manyForwardingLinesOfATrustedClientAreJoinedInOrder() {
        let lines = (1...60).map { "X-Forwarded-For: 10.0.0.\($0)\r\n" }.joined()
        let scanned = ScannedRequest("GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n")
        let joined = (1...60).map { "10.0.0.\($0), " }.joined()
        let edited = String(decoding: scanned.edited(isTrusted: true), as: UTF8.self)
        #expect(edited.contains("\r\nX-Forwarded-For: \(joined)192.0.2.7\r\n"))
        #expect(!edited.contains("192.0.2.7\r\nX-Forwarded-For"))
    }

    @Test func aClientWithoutAddressIsNotNamed() {
        let scanned = ScannedRequest("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n")
        #expect(!String(decoding: scanned.edited(address: ""), as: UTF8.self).contains("Forwarded-For"))
        let trusted = String(decoding: scanned.edited(address: "", isTrusted: true), as: UTF8.self)
        #expect(trusted.contains("X-Forwarded-For: 1.1.1.1\r\n"))
    }

    @Test func theLongestHeadFitsItsRoom() {
        let host = "a." + String(repeating: "b", count: 251) + ".c"
        let address = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%"
        #expect(address.utf8.count == Forwarding.longestAddress)
        let scanned = ScannedRequest(
            "GET http://\(host):65535 HTTP/1.1\r\nHost:\(host):65535\r\nConnection:upgrade\r\nUpgrade:x\r\n"
                + "TE:trailers\r\n\r\n"
        )
        #expect(scanned.status == .complete)
        let edited = scanned.edited(address: address, isTLS: true, loopMark: .max)
        #expect(edited.count <= scanned.head.byteCount + RequestHead.editedHeadSlack)
        let connect = ScannedRequest(
            "CONNECT \(host):65535 HTTP/1.1\r\nHost:\r\nTE:trailers\r\n\r\n"
        ).edited(address: address, isTLS: true, loopMark: .max)
        #expect(connect.count < 32 + 3 * 262 + RequestHead.editedHeadSlack)
        let local = String(repeating: "1", count: RequestHead.longestLocalHost)
        let completed = ScannedRequest("GET / HTTP/1.0\r\n\r\n").edited(
            address: address, host: local, isTLS: true, loopMark: .max)
        #expect(String(decoding: completed, as: UTF8.self).contains("Host: \(local)\r\n"))
        let short = ScannedRequest("GET http://\(host):65535 HTTP/1.0\r\n\r\n").edited(
            address: address, isTLS: true, loopMark: .max)
        #expect(String(decoding: short, as: UTF8.self).hasSuffix("X-Forwarded-Host: \(host):65535\r\n\r\n"))
    }
}
