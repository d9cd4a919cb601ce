import NIOCore
import NIOHTTP1
import Testing

@testable import Observation

private func head(
    _ uri: String, host: String? = "127.0.0.1:9100", _ method: HTTPMethod = .GET, version: HTTPVersion = .http1_1,
    fields: [(String, String)] = []
) -> HTTPRequestHead {
    let host = host.map { [("Host", $0)] } ?? []
    return HTTPRequestHead(version: version, method: method, uri: uri, headers: HTTPHeaders(host + fields))
}

private let judge = Judge(hosts: HostRule(names: ["Metrics.Example"]))

struct RequestTests {
    @Test func `each path has its subject, whatever its query`() throws {
        let subjects: [String: Subject] = [
            "/": .page, "/metrics": .metrics(.prometheus), "/healthz": .health, "/readyz": .readiness,
            "/status.json": .status, "/events": .events, "/?a=/metrics": .page, "/metrics?": .metrics(.prometheus),
        ]
        for (path, subject) in subjects { #expect(try judge.judge(head(path)).get() == subject, "\(path)") }
        for path in ["", "*", "/metrics/", "/Metrics", "//", "/%6detrics", "http://127.0.0.1/metrics", "/page.html"] {
            #expect(judge.judge(head(path)) == .failure(.path), "\(path)")
        }
    }

    @Test func `what would change something is refused`() {
        for method in [HTTPMethod.POST, .PUT, .DELETE, .OPTIONS, .TRACE, .CONNECT, .RAW(value: "QUERY")] {
            #expect(judge.judge(head("/", method)) == .failure(.method))
        }
        #expect(judge.judge(head("/", .HEAD)) == .success(.page))
        #expect(Refusal.method.headers["allow"] == ["GET, HEAD"])
    }

    /// A site whose name is looked up as our address would read all that we say.
    @Test func `a name is not ours unless it was given`() {
        let ours = [
            "127.0.0.1", "127.0.0.1:9100", "192.0.2.7:1", "[::1]", "[::1]:9100", "[2001:db8::7]:80", "localhost",
            "LOCALHOST:9100", "metrics.example", "METRICS.example:443", "localhost:",
        ]
        for host in ours { #expect(judge.judge(head("/", host: host)) == .success(.page), "\(host)") }
        let foreign = [
            "", "evil.example", "evil.example:9100", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1.",
            "metrics.example.", "::1", "[::1", "[::1]x", "[::1]:x", "[127.0.0.1]", "[localhost]", "localhost:80:80",
            "127.0.0.1:80x", "127.1", "2130706433", "0x7f000001", "localhost ", "user@localhost", "localhost,evil",
        ]
        for host in foreign { #expect(judge.judge(head("/", host: host)) == .failure(.hostForeign), "\(host)") }
    }

    @Test func `a request names one host, but for HTTP 1.0`() {
        #expect(judge.judge(head("/", host: nil)) == .failure(.hostMissing))
        #expect(judge.judge(head("/", host: nil, version: .http1_0)) == .success(.page))
        #expect(judge.judge(head("/", fields: [("host", "localhost")])) == .failure(.hostRepeated))
    }

    @Test func `OpenMetrics is for those who want it`() {
        func format(_ accept: String...) -> MetricsFormat { MetricsFormat(accept: accept) }
        #expect(format() == .prometheus)
        #expect(format("*/*") == .prometheus)
        #expect(format("application/openmetrics-text") == .openMetrics)
        #expect(
            format(
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
                    + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1") == .openMetrics)
        #expect(format("text/plain;q=0.5", "APPLICATION/OpenMetrics-Text; version=\"1.0.0\"; q=0.6") == .openMetrics)
        #expect(format("application/openmetrics-text;q=0") == .prometheus)
        #expect(format("application/openmetrics-text; q=0.000, text/plain") == .prometheus)
        #expect(format("application/openmetrics-text;q=0.2,text/plain;q=0.9") == .prometheus)
        #expect(format("application/openmetrics-text;version=0.0.1") == .prometheus)
        for odd in ["", ",", ";", "application/openmetrics-text;q=x", "application/openmetrics-text;q=nan", ";q=1;="] {
            #expect(format(odd) == .prometheus, "\(odd)")
        }
    }

    @Test func `a connection ends with a reply that leaves something unread`() {
        #expect(!Manner(head("/")).closes)
        #expect(Manner(head("/", fields: [("Connection", "close")])).closes)
        #expect(Manner(head("/", version: .http1_0, fields: [("Connection", "keep-alive")])).closes)
        #expect(Manner(head("/", fields: [("Content-Length", "3")])).closes)
        #expect(!Manner(head("/", fields: [("Content-Length", "0")])).closes)
        #expect(Manner(head("/", fields: [("Transfer-Encoding", "chunked")])).closes)
        #expect(Manner(head("/", fields: [("Connection", "upgrade"), ("Upgrade", "h2c")])).closes)
    }

    @Test func `each refusal has a status and a sentence`() {
        let refusals: [Refusal] = [
            .malformed, .hostMissing, .hostRepeated, .hostForeign, .method, .path, .headTooLarge, .headTooLate,
            .noReport, .tooManyStreams,
        ]
        for refusal in refusals { #expect(refusal.status.code >= 400 && refusal.sentence.hasSuffix(".")) }
        #expect(Refusal.hostForeign.status.code == 421)
        #expect(Refusal.headTooLate.sentence.contains("within 10 s"))
    }
}

struct HeadMeterTests {
    @Test func `a head is measured in any pieces, and the next one anew`() {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        for size in 1...bytes.count {
            var meter = HeadMeter(limit: bytes.count)
            for _ in 0..<3 {
                for place in stride(from: 0, to: bytes.count, by: size) {
                    let fits = meter.take(bytes[place..<min(place + size, bytes.count)])
                    #expect(fits)
                    #expect(meter.isPartial == (place + size < bytes.count))
                }
            }
        }
    }

    @Test func `a head may not be longer than the limit, nor an endless line`() {
        /// Whether it is still short enough after each piece.
        func fits(_ pieces: String...) -> [Bool] {
            var meter = HeadMeter(limit: 10)
            return pieces.map { meter.take($0.utf8) && !meter.isOver }
        }
        #expect(fits("GET /12345", "6") == [true, false])
        #expect(fits("a\r\nb\r\nc\r\n", "d\r\n") == [true, false])
        #expect(fits("GET /\r\n\r\n", "GET /1\r\n\r\n", "GET /1\n\n", "GET /123456") == [true, true, true, false])
    }
}

struct PageTests {
    @Test func `the policy names the one style and the one script by their digests`() {
        let page = Page(html: Array("<html><style>a{}</style><p>x</p><script>b()</script></html>".utf8))
        #expect(
            page.policy
                == "default-src 'none'; style-src 'sha256-X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk='; "
                + "script-src 'sha256-cf242PFc/kb7xD0Qzhsmd9vvRkc+cWFmbi+k+YvtdKc='; connect-src 'self'; "
                + "img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
        #expect(Page(html: []).policy.contains("style-src 'none'; script-src 'none'"))
    }

    /// Two would run one of them without the other; what is elsewhere would not be fetched; an attribute is no digest.
    @Test func `the page of the program has one style and one script, and needs nothing else`() {
        let html = String(buffer: Page().html)
        #expect(html.ranges(of: "<style>").count == 1 && html.ranges(of: "<script>").count == 1)
        #expect(html.ranges(of: "<style").count == 1 && html.ranges(of: "<script").count == 1)
        for outside in [" style=", " onclick=", " onload=", "src=\"", "@import"] {
            #expect(!html.contains(outside), "\(outside)")
        }
        // An icon may lie within.
        for link in html.matches(of: /<link[^>]*>/) { #expect(link.output.contains("href=\"data:")) }
        // Every byte is compiled as a number.
        #expect(html.utf8.count <= 64 << 10)
    }
}
