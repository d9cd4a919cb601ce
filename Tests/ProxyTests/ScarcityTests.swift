import Memory
import Routing
import Testing

@testable import Proxy

/// Blocks, slots and streams run out: who caused it may lose something, and nobody else.
@Suite(.serialized)
struct ScarcityTests {
    /// Requests, a body, a reply that waits, and a raw connection, while one call of the pool finds no room: each call
    /// in turn. Whatever it was for ends, all others go on, and everybody can be served afterwards.
    /// (The first three calls are for what the sessions are told before anything else.)
    @Test func anySingleBlockMayBeMissing() throws {
        #if DEBUG
        var failingCall = 3
        while failingCall < 400 {
            let (isOver, lost) = try exchangeAll(failingCall)
            #expect(lost <= 1, "call \(failingCall)")
            if isOver { return }
            failingCall += 1
        }
        #endif
    }

    /// - Returns: whether the call was never made, and how many sessions were lost.
    private func exchangeAll(_ failingCall: Int) throws -> (isOver: Bool, lost: Int) {
        let plane = try TestPlane(reactors: 1) {
            $0.callsUntilNoBlock = failingCall
            $0.hold = 200
        }
        defer { plane.stop() }
        try plane.listen(0)
        try plane.listen(1)
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/a"), listener: 0, routeID: 1, reactor: 0, slot: 0,
            answer: FakeService.http("a"))
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/b"), listener: 0, routeID: 2, reactor: 0, slot: 1,
            answer: FakeService.http("b"))
        try plane.serve(.raw, listener: 1, routeID: 3, reactor: 0, slot: 2, answer: FakeService.echo)
        let get = try plane.connect(0)
        plane.clients[get].toSend = Array("GET /a1 HTTP/1.1\r\nHost: x\r\n\r\nGET /a2 HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        let other = try plane.connect(0)
        plane.clients[other].toSend = Array("GET /b HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        let split = try plane.connect(0)
        plane.clients[split].toSend = Array("GET /a3 HT".utf8)
        let post = try plane.connect(0)
        plane.clients[post].toSend = Array("POST /a4 HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789".utf8)
        let raw = try plane.connect(1)
        plane.clients[raw].toSend = Array("hello".utf8)
        func has(_ client: Int, _ text: String) -> Bool {
            let client = plane.clients[client]
            return client.hasEnded || client.text.hasSuffix(text) || client.text.contains("HTTP/1.1 50")
        }
        var isRestSent = false
        try plane.pump {
            if !isRestSent, plane.clients[split].toSend.isEmpty, has(other, "b /b") {
                isRestSent = true
                plane.clients[split].toSend = Array("TP/1.1\r\nHost: x\r\n\r\n".utf8)
            }
            return has(get, "a /a2") && has(other, "b /b") && has(post, "a /a4") && has(raw, "hello")
                && has(split, "a /a3")
        }
        let lost = plane.services.count { $0.isLost }
        let ended = plane.clients.count { $0.hasEnded }
        // The call may be one of these, too: then the next one does.
        for (service, path) in ["/a", "/b"].enumerated() where !plane.services[service].isLost {
            var isServed = false
            for _ in 0..<2 where !isServed && !plane.services[service].isLost {
                let next = try plane.connect(0)
                plane.clients[next].toSend = Array("GET \(path)9 HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
                try plane.pump { has(next, "\(path)9") }
                isServed = plane.clients[next].text.hasSuffix("\(path)9")
            }
            #expect(isServed || plane.services[service].isLost, "call \(failingCall)")
        }
        let failed = [get, other, split, post].contains { plane.clients[$0].text.contains("HTTP/1.1 50") }
        return (lost == 0 && ended == 0 && !failed && failingCall > 100, lost)
    }

    /// With the blocks that a request may need, and two for the session's frames, clients are served one after the
    /// other. With one less than the request's nobody is: they wait unsent, and are told at the end of the hold. Either
    /// way no session is lost.
    @Test(arguments: [(2, "HTTP/1.1 200"), (-1, "HTTP/1.1 503")])
    func aRequestThatWouldLackABlockWaitsUnsent(spare: Int, reply: String) throws {
        let plane = try TestPlane(reactors: 1) {
            $0.hold = 200
            $0.blocksForTest = $0.blocksOfRequest + spare
        }
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/"), listener: 0, routeID: 1, reactor: 0, slot: 0,
            answer: FakeService.http("x"))
        for _ in 0..<3 {
            let client = try plane.connect(0)
            plane.clients[client].toSend = Array("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".utf8)
            try plane.pump { plane.clients[client].hasEnded }
            #expect(plane.clients[client].text.hasPrefix(reply))
        }
        #expect(plane.services[0].opened == (spare < 0 ? 0 : 3) && !plane.services[0].isLost)
    }

    /// Clients that read nothing of what they have asked for fill the buffers. They lose their connections, and clients
    /// of another service notice nothing, and neither does any session.
    @Test(arguments: [1, 2])
    func clientsThatReadNothingCostNobodyElse(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors) {
            $0.bufferBytes = 256 << 10
            $0.pipes = 0
        }
        defer { plane.stop() }
        try plane.listen(0)
        try plane.listen(1)
        let many = [UInt8](repeating: 7, count: 60_000)
        try plane.serve(.raw, listener: 0, routeID: 1, reactor: 0, slot: 0) { stream in
            guard !stream.received.isEmpty else { return ([], false) }
            // What had no window comes first; the last byte is the client's, and stays.
            let rest = stream.received.count > 1 ? Array(stream.received.dropLast()) : many
            stream.received = [1]
            return (rest, false)
        }
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/"), listener: 1, routeID: 2, reactor: reactors - 1, slot: 1,
            answer: FakeService.http("b"))
        for _ in 0..<12 {
            let greedy = try TestSocket(connectedTo: plane.port(of: 0), receiveBuffer: 4096)
            _ = greedy.send([1])
            plane.idle.append(greedy)
        }
        let client = try plane.connect(1)
        for round in 0..<40 {
            plane.clients[client].received = []
            plane.clients[client].toSend = Array("GET /\(round) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
            try plane.pump { plane.clients[client].text.hasSuffix("b /\(round)") }
        }
        #expect(!plane.clients[client].hasEnded)
        #expect(plane.services.allSatisfy { !$0.isLost })
        try plane.pump { plane.plane.sum(.resets) > 0 }
        #expect(plane.services.allSatisfy { !$0.isLost })
    }

    /// Idle streams are kept only where slots are left for all clients: a service that has many sessions could fill the
    /// slab with them.
    @Test func idleStreamsLeaveSlotsForClients() throws {
        let plane = try TestPlane(reactors: 1) {
            $0.connections = 4
            $0.spareStreams = 0
        }
        defer { plane.stop() }
        try plane.listen(0)
        for number in 0..<6 {
            try plane.serve(
                .http(domainSuffix: "", pathPrefix: "/\(number)"), listener: 0, routeID: UInt32(number + 1), reactor: 0,
                slot: number, reuseStreams: true, answer: FakeService.http("x"))
        }
        let clients = try (0..<4).map { _ in try plane.connect(0) }
        for round in 0..<24 {
            for client in clients {
                plane.clients[client].received = []
                plane.clients[client].toSend = Array("GET /\(round % 6)/r\(round) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
            }
            try plane.pump { clients.allSatisfy { plane.clients[$0].text.hasSuffix("/r\(round)") } }
        }
        #expect(plane.plane.sum(.held) == 0)
    }
}
