import CKernel
import Glibc
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import Control
@testable import Observation

private func request(_ path: String, host: String = "localhost", _ fields: String = "") -> String {
    "GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n"
}

struct ServerTests {
    @Test func `each path is answered as what it is`() throws {
        let server = try TestServer(report: report(routes: [route()]))
        let types = [
            "/": "text/html; charset=utf-8", "/metrics": "text/plain; version=0.0.4; charset=utf-8",
            "/healthz": "text/plain; charset=utf-8", "/readyz": "text/plain; charset=utf-8",
            "/status.json": "application/json",
        ]
        for (path, type) in types {
            let reply = server.get(path)
            #expect(reply.status == 200 && reply.fields["content-type"] == type, "\(path)")
        }
        #expect(server.get("/metrics").body.contains("socketmaster_requests_total{listener=\"[::]:443\""))
        let open = server.get("/metrics", "Accept: application/openmetrics-text\r\n")
        #expect(open.fields["content-type"]?.hasPrefix("application/openmetrics-text; version=1.0.0") == true)
        #expect(open.body.hasSuffix("# EOF\n"))
        #expect(JSON(Array(server.get("/status.json").body.utf8))?["schema"] == .number(1))
        #expect(server.get("/healthz").body == "ok\n")
        #expect(server.get("/nothing").status == 404)
    }

    /// No other site may read, frame or keep it, whatever the reply.
    @Test func `all replies say what browsers may not do`() throws {
        let server = try TestServer()
        for (path, host) in [("/", "localhost"), ("/metrics", "localhost"), ("/nothing", "localhost"), ("/", "evil")] {
            let fields = server.get(path, host: host).fields
            #expect(fields["cache-control"] == "no-store")
            #expect(fields["x-content-type-options"] == "nosniff")
            #expect(fields["referrer-policy"] == "no-referrer")
            #expect(fields["cross-origin-resource-policy"] == "same-origin")
            #expect(!fields.keys.contains { $0.hasPrefix("access-control") })
        }
        #expect(server.get("/").fields["content-security-policy"]?.contains("script-src 'sha256-") == true)
    }

    @Test func `a name that is not ours is misdirected`() throws {
        let server = try TestServer(hosts: ["metrics.example"])
        #expect(server.get("/metrics", host: "evil.example").status == 421)
        #expect(server.get("/metrics", host: "metrics.example:9100").status == 200)
        #expect(TestReply(server.exchange("GET / HTTP/1.1\r\n\r\n")).status == 400)
    }

    @Test func `health and readiness follow the report`() throws {
        let server = try TestServer(report: report(isAlive: false, isDraining: true))
        #expect(server.get("/healthz").status == 503)
        #expect(server.get("/readyz").status == 503)
        #expect(server.get("/metrics").status == 200)
    }

    @Test func `only what reads is allowed`() throws {
        let server = try TestServer()
        let text = server.exchange("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
        let reply = TestReply(text)
        #expect(reply.status == 405 && reply.fields["allow"] == "GET, HEAD" && reply.fields["connection"] == "close")
    }

    @Test func `a request with a body is answered, and is the last`() throws {
        let server = try TestServer()
        let body = "Content-Length: 100000\r\n\r\n" + String(repeating: "GET / HTTP/1.1\r\n\r\n", count: 2_000)
        let text = server.exchange("GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + body)
        #expect(TestReply(text).body == "ok\n" && text.ranges(of: "HTTP/1.1 ").count == 1)
    }

    @Test func `HEAD gets no body, and the connection goes on`() throws {
        let server = try TestServer()
        let heads = ["/", "/metrics", "/healthz", "/events", "/nothing"].map {
            "HEAD \($0) HTTP/1.1\r\nHost: localhost\r\n\r\n"
        }
        let text = server.exchange(heads.joined() + request("/healthz", "Connection: close\r\n"))
        #expect(text.ranges(of: "HTTP/1.1 ").count == 6)
        #expect(text.ranges(of: "\r\n\r\nHTTP/1.1 ").count == 5)
        #expect(text.hasSuffix("\r\n\r\nok\n"))
    }

    @Test func `HTTP 1.0 gets its reply, and the end`() throws {
        let server = try TestServer(report: largeReport(routes: 10))
        let text = server.exchange("GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(text.hasPrefix("HTTP/1.0 200 OK\r\n") && !text.lowercased().contains("chunked"))
        #expect(text.hasSuffix("socketmaster_log_lines_dropped_total 9\n"))
    }

    @Test func `a pipeline is answered in its order`() throws {
        let server = try TestServer(report: largeReport(routes: 3))
        let paths = ["/healthz", "/metrics", "/status.json", "/healthz"]
        let text = server.exchange(paths.map { request($0) }.joined() + request("/nothing", "Connection: close\r\n"))
        #expect(text.ranges(of: "HTTP/1.1 200 OK").count == 4)
        #expect(text.contains("\r\n\r\nok\nHTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"))
        #expect(text.contains("\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: application/json"))
        #expect(TestReply(text).status == 200 && text.contains("HTTP/1.1 404 Not Found"))
    }

    @Test func `requests in single bytes are requests`() throws {
        let server = try TestServer()
        let client = server.client()
        for byte in request("/healthz", "Connection: close\r\n") { client.send(String(byte)) }
        #expect(TestReply(client.readToEnd()).body == "ok\n")
    }

    @Test func `who has said all still gets the reply`() throws {
        let server = try TestServer(report: largeReport(routes: 20))
        let client = server.client()
        client.send(request("/metrics"))
        client.finish()
        #expect(TestReply(client.readToEnd()).body.hasSuffix("socketmaster_log_lines_dropped_total 9\n"))
        let silent = server.client()
        silent.finish()
        #expect(silent.readToEnd() == "")
    }

    @Test func `what is no request is told so`() throws {
        let server = try TestServer()
        for text in ["\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\r\n\r\n", "GET / HTTP/3.7\r\n\r\n", "hello\r\n\r\n"] {
            let reply = TestReply(server.exchange(text))
            #expect(reply.status == 400 && reply.fields["cache-control"] == "no-store", "\(text)")
        }
    }

    @Test func `a head that is too large is told so`() throws {
        let server = try TestServer()
        let name = "X-Long: \(String(repeating: "x", count: 20_000))\r\n"
        #expect(TestReply(server.exchange(request("/healthz", name))).status == 431)
        let many = String(repeating: "X: y\r\n", count: 4_000)
        #expect([431, 400].contains(TestReply(server.exchange(request("/healthz", many))).status))
        let fits = "X-Long: \(String(repeating: "x", count: 15_000))\r\nConnection: close\r\n"
        #expect(TestReply(server.exchange(request("/healthz", fits))).status == 200)
    }

    @Test func `beyond the bound a client is turned away, and has a place when one has left`() throws {
        let server = try TestServer()
        var clients = (0..<Bounds.connections).map { _ in server.client() }
        for client in clients {
            client.send(request("/healthz"))
            #expect(client.read(until: "ok\n").contains("200 OK"))
        }
        #expect(server.client().readToEnd() == "")
        clients.removeFirst(1)
        // It may take a moment until the end of the first one has been seen.
        var text = ""
        for _ in 0..<1_000 where text.isEmpty { text = server.exchange(request("/healthz", "Connection: close\r\n")) }
        #expect(TestReply(text).status == 200)
    }

    /// In the middle of a head, of a reply, of events; with a reset, because it has not read what was there.
    @Test func `clients that go away leave nothing behind`() throws {
        let server = try TestServer(report: largeReport(routes: 100))
        for text in ["GET / HT", request("/metrics"), request("/events"), request("/status.json")] {
            let clients = (0..<Bounds.connections / 4).map { _ in server.client() }
            for client in clients {
                client.send(text)
                if text.hasSuffix("\r\n\r\n") { #expect(client.read(until: "200 OK").contains("200 OK")) }
            }
        }
        var text = ""
        var clients: [TestClient] = []
        // All places are free again, sooner or later: a stream's end may only show when it gets its next event.
        for _ in 0..<3_000 where clients.count < Bounds.connections {
            let client = server.client()
            client.send(request("/healthz"))
            text = client.read(until: "ok\n")
            if text.isEmpty { usleep(10_000) } else { clients.append(client) }
        }
        #expect(clients.count == Bounds.connections)
    }

    @Test func `a desk that takes no more questions is told of`() throws {
        let server = try TestServer(report: nil)
        server.desk.beFull()
        let reply = server.get("/metrics")
        #expect(reply.status == 503 && reply.fields["retry-after"] == "5")
    }

    /// Prometheus, a proxy on a slow line, or somebody who wants to use up memory.
    @Test func `a slow reader gets all of it, in pieces`() throws {
        let server = try TestServer(report: largeReport(routes: 300))
        let slow = server.client()
        slow.send(request("/metrics", "Connection: close\r\n"))
        var bytes: [UInt8] = []
        while true {
            let piece = slow.read(8 << 10)
            if piece.isEmpty { break }
            bytes += piece
            // Others are served meanwhile.
            if bytes.count < 64 << 10 { #expect(server.get("/healthz").status == 200) }
        }
        let reply = TestReply(String(decoding: bytes, as: UTF8.self))
        #expect(bytes.count > 2 << 20)
        #expect(reply.body.hasSuffix("socketmaster_log_lines_dropped_total 9\n"))
    }

    @Test func `a descriptor that is no socket is an error`() {
        #expect(throws: (any Error).self) {
            try ObservationServer(listening: ck_make_eventfd(false), hosts: [], page: Page()) { _, _ in true }
        }
    }

    @Test func `curl reads it`() throws {
        let server = try TestServer(report: report(routes: [route()]))
        let base = "http://127.0.0.1:\(server.port)"
        let all = try run("curl -sS --fail \(base)/metrics \(base)/healthz \(base)/status.json")
        #expect(all.status == 0 && all.output.contains("\nok\n{\"schema\":1,"))
        #expect(try run("curl -sS --http2 --head \(base)/metrics").output.contains("200 OK"))
        #expect(try run("curl -sS -o /dev/null -w '%{http_code}' -H 'Host: evil' \(base)/").output == "421")
        let events = try run("curl -sS --max-time 3 --no-buffer \(base)/events | head -n 4")
        #expect(events.output.hasPrefix("retry: 3000\n\nevent: status\ndata: {\"schema\":1,"))
        let checked = try run("curl -sS \(base)/metrics | promtool check metrics")
        #expect(checked.status == 0 && checked.output.isEmpty)
    }
}

struct EventTests {
    @Test func `a stream begins with an event, and more follow`() throws {
        let server = try TestServer()
        let client = server.client()
        client.send(request("/events"))
        let text = client.read(until: "data: ")
        #expect(text.contains("content-type: text/event-stream"))
        #expect(text.contains("retry: 3000\n\n"))
        #expect(client.read(until: "event: status\ndata: {\"schema\":1,").contains("event: status"))
    }

    @Test func `beyond the bound a stream is refused, and has a place when one has left`() throws {
        let server = try TestServer()
        var clients = (0..<Bounds.streams).map { _ in server.client() }
        for client in clients {
            client.send(request("/events"))
            #expect(client.read(until: "retry").contains("200 OK"))
        }
        let reply = server.get("/events")
        #expect(reply.status == 503 && reply.fields["retry-after"] == "5")
        // It gives up its connection, or only says that it will send no more.
        clients[0].finish()
        clients.removeLast()
        var status = 0
        for _ in 0..<1_000 where status != 200 {
            let client = server.client()
            client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status = TestReply(client.read(until: "\r\n\r\n"), isHead: true).status
        }
        #expect(status == 200)
    }

    /// Who has not read the last event gets none.
    @Test func `a stream that is not read costs an event at most`() throws {
        let server = try TestServer(report: largeReport(routes: 150))
        let stuck = server.client()
        stuck.send(request("/events"))
        #expect(stuck.read(until: "retry").contains("200 OK"))
        let reader = server.client()
        reader.send(request("/events"))
        for _ in 0..<3 { #expect(reader.read(until: "}\n\n\r\n").contains("}\n\n\r\n")) }
        // What it gets then is whole.
        #expect(stuck.read(until: "}\n\n\r\n").contains("}\n\n\r\n"))
    }
}

/// The same handlers in virtual time.
struct PatienceTests {
    private let channel = EmbeddedChannel()
    private let desk = FakeDesk()
    private let reception: Reception

    init() throws {
        reception = Reception(loop: channel.embeddedEventLoop, hosts: [], page: Page(html: []), ask: desk.ask)
        try reception.admit(channel)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    private func say(_ text: String) throws { try channel.writeInbound(ByteBuffer(string: text)) }

    private func pass(_ time: TimeAmount) { channel.embeddedEventLoop.advanceTime(by: time) }

    private func heard() throws -> String {
        var text = ""
        while case .byteBuffer(let bytes) = try channel.readOutbound(as: IOData.self) { text += String(buffer: bytes) }
        return text
    }

    @Test func `who says nothing has ten seconds`() throws {
        pass(.milliseconds(9_999))
        #expect(channel.isActive)
        pass(.milliseconds(1))
        #expect(!channel.isActive)
        #expect(try heard() == "")
        #expect(reception.connections == 0)
    }

    @Test func `a head that is too slow is told so`() throws {
        try say("GET / HTTP/1.1\r\nHost: local")
        for _ in 0..<9 {
            pass(.seconds(1))
            try say("x")
        }
        #expect(channel.isActive)
        pass(.seconds(1))
        #expect(try heard().hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
        #expect(!channel.isActive)
    }

    @Test func `between two requests there is a minute, and for the next head ten seconds`() throws {
        try say("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try heard().contains("404"))
        pass(.seconds(59))
        #expect(channel.isActive)
        try say("GET /no")
        pass(.seconds(9))
        #expect(channel.isActive)
        pass(.seconds(1))
        #expect(try heard().contains("408"))
    }

    @Test func `an idle connection ends without a word`() throws {
        try say("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _ = try heard()
        pass(.seconds(60))
        #expect(!channel.isActive)
        #expect(try heard() == "")
    }

    /// That it answers is what health is about.
    @Test func `a control thread that does not answer is told of after five seconds`() throws {
        try say("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pass(.seconds(4))
        #expect(try heard() == "")
        pass(.seconds(1))
        #expect(try heard().hasPrefix("HTTP/1.1 503 Service Unavailable\r\n"))
        #expect(channel.isActive)
        // An answer that is late is for nobody.
        desk.answer(report())
        channel.embeddedEventLoop.run()
        #expect(try heard() == "")
    }

    @Test func `a client that leaves while the control thread is asked leaves nothing`() throws {
        try say("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try channel.close().wait()
        desk.answer(report())
        channel.embeddedEventLoop.run()
        #expect(reception.connections == 0)
    }

    @Test func `who takes nothing has thirty seconds`() throws {
        channel.isWritable = false
        try say("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pass(.seconds(29))
        #expect(channel.isActive)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(try heard().contains("404"))
        channel.isWritable = false
        try say("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pass(.seconds(30))
        #expect(!channel.isActive)
    }

    @Test func `the first stream gets an event at once, and all one a second`() throws {
        try say("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pass(.nanoseconds(0))
        #expect(desk.asked == 1)
        desk.answer(report())
        channel.embeddedEventLoop.run()
        #expect(try heard().contains("event: status\ndata: {"))
        for count in 2...5 {
            pass(.seconds(1))
            #expect(desk.asked == count)
            desk.answer(report())
            channel.embeddedEventLoop.run()
            #expect(try heard().ranges(of: "event: status").count == 1)
        }
        // One that is not answered is not asked again.
        pass(.seconds(5))
        #expect(desk.asked == 6)
        try channel.close().wait()
        desk.answer(report())
        pass(.seconds(5))
        #expect(desk.asked == 6)
    }

    @Test func `a stream that has not taken an event gets no other one`() throws {
        try say("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        channel.isWritable = false
        for _ in 0..<5 {
            pass(.seconds(1))
            desk.answer(report())
            channel.embeddedEventLoop.run()
        }
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(try heard().ranges(of: "event: status").count == 1)
    }

    /// A control thread that hangs is no fault of the client's.
    @Test func `a stream that has taken all lives without events`() throws {
        try say("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pass(.seconds(1))
        desk.answer(report())
        channel.embeddedEventLoop.run()
        channel.pipeline.fireChannelWritabilityChanged()
        pass(.minutes(5))
        #expect(channel.isActive)
    }

    @Test func `a stream that takes nothing has thirty seconds`() throws {
        try say("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pass(.nanoseconds(0))
        channel.isWritable = false
        desk.answer(report())
        channel.embeddedEventLoop.run()
        pass(.seconds(31))
        #expect(!channel.isActive)
    }
}
