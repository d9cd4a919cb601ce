import Memory
import Routing
import Testing

@testable import Proxy

@Suite(.serialized)
struct DataPlaneTests {
    /// The main way of all data: a request, its route, a fresh stream, the reply, and the next one on the same
    /// connection.
    @Test(arguments: [1, 2, 4])
    func requestsOnOneConnectionAreRoutedEachByItself(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors)
        defer { plane.stop() }
        try plane.listen(0)
        for (number, path) in ["/a", "/b", "/c"].enumerated() {
            try plane.serve(
                .http(domainSuffix: "", pathPrefix: path), listener: 0, routeID: UInt32(number + 1),
                reactor: number % reactors, slot: number, answer: FakeService.http(path))
        }
        let client = try plane.connect(0)
        for round in 0..<30 {
            let path = ["/a", "/b", "/c"][round % 3]
            plane.clients[client].received = []
            plane.clients[client].toSend = Array("GET \(path)\(round) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
            try plane.pump { plane.clients[client].text.hasSuffix("\(path) \(path)\(round)") }
        }
    }

    @Test(arguments: [1, 2])
    func pipelinedRequestsAreAnsweredInOrder(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors)
        defer { plane.stop() }
        try plane.listen(0)
        for (number, path) in ["/a", "/b", "/c"].enumerated() {
            try plane.serve(
                .http(domainSuffix: "", pathPrefix: path), listener: 0, routeID: UInt32(number + 1),
                reactor: number % reactors, slot: number, answer: FakeService.http(path))
        }
        let client = try plane.connect(0)
        let paths = (0..<60).map { ["/a", "/b", "/c"][$0 % 3] + "\($0)" }
        plane.clients[client].toSend = Array(paths.map { "GET \($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined().utf8)
        try plane.pump { plane.clients[client].text.hasSuffix(paths[59]) }
        // Each reply's body is "/a /a0" or the like, and the next reply begins right behind it.
        let answers = plane.clients[client].text.components(of: " /").dropFirst()
        #expect(answers.map { "/" + $0.prefix { $0 != "H" } } == paths)
    }

    /// Bytes both ways through windows that are much smaller than they, then the ends of both directions.
    @Test(arguments: [1, 2])
    func rawBytesComeBackExactlyAndBothEndsAreHalfClosed(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors)
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(.raw, listener: 0, routeID: 1, reactor: reactors - 1, slot: 0, answer: FakeService.echo)
        let client = try plane.connect(0)
        let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        plane.clients[client].toSend = bytes
        plane.clients[client].finishes = true
        try plane.pump { plane.clients[client].hasEnded }
        #expect(plane.clients[client].received == bytes)
    }

    @Test(arguments: [2, 4])
    func everyConnectionCanBeHandedOver(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors) { $0.forceHandOver = true }
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/"), listener: 0, routeID: 1, reactor: 0, slot: 0,
            answer: FakeService.http("x"))
        let clients = try (0..<40).map { _ in try plane.connect(0) }
        for round in 0..<10 {
            for client in clients {
                plane.clients[client].received = []
                plane.clients[client].toSend = Array("GET /\(round) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
            }
            try plane.pump { clients.allSatisfy { plane.clients[$0].text.hasSuffix("x /\(round)") } }
        }
        #expect(plane.plane.sum(.handedOver) >= 400)
    }

    /// While its route is held a client waits with what it has said, and is served when a session comes.
    @Test(arguments: [1, 2])
    func clientsOfAHeldRouteWaitAndAreServed(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors)
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/"), listener: 0, routeID: 1, reactor: 0, slot: 0,
            answer: FakeService.http("old"))
        plane.hold(routeID: 1)
        let clients = try (0..<20).map { _ in try plane.connect(0) }
        for client in clients { plane.clients[client].toSend = Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8) }
        try plane.pump { plane.plane.sum(.held) >= 20 }
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/"), listener: 0, routeID: 1, reactor: reactors - 1, slot: 1,
            answer: FakeService.http("new"))
        try plane.pump { clients.allSatisfy { plane.clients[$0].text.hasSuffix("new /") } }
    }

    /// What a service has taken and not answered is sent again when it ends, wherever the next one registers.
    @Test(arguments: [1, 2, 4])
    func requestsThatAServiceLeavesUnansweredAreSentAgain(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors)
        defer { plane.stop() }
        try plane.listen(0)
        let route = RouteDefinition.Kind.http(domainSuffix: "", pathPrefix: "/")
        try plane.serve(route, listener: 0, routeID: 1, reactor: 0, slot: 0) { _ in ([], false) }
        let clients = try (0..<40).map { _ in try plane.connect(0) }
        for client in clients { plane.clients[client].toSend = Array("GET /x HTTP/1.1\r\nHost: x\r\n\r\n".utf8) }
        try plane.pump { plane.services[0].opened == 40 }
        plane.services[0].socket.finish()
        plane.hold(routeID: 1)
        try plane.pump { plane.plane.sum(.sentAgain, ofListener: 0) == 40 }
        try plane.serve(
            route, listener: 0, routeID: 1, reactor: reactors - 1, slot: 1, answer: FakeService.http("new"))
        try plane.pump { clients.allSatisfy { plane.clients[$0].text.hasSuffix("new /x") } }
        #expect(plane.plane.sum(.released, ofListener: 0) == 40)
        #expect(plane.plane.waitingClients.onListener(0) == 0)
        #expect(plane.plane.waitingBytes.onListener(0) == 0)
    }

    @Test func theFiguresOfAListenerDoNotReachIntoTheNextOnes() {
        #expect(ListenerCounter.allCases.count <= ListenerCounter.stride)
        #expect(ListenerCounter.allCases.map(\.place) == ListenerCounter.allCases.map(\.rawValue))
    }

    @Test func aRouteWhoseHoldEndsAnswers503() throws {
        let plane = try TestPlane(reactors: 1)
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/"), listener: 0, routeID: 1, reactor: 0, slot: 0,
            answer: FakeService.http("old"))
        plane.hold(routeID: 1)
        let client = try plane.connect(0)
        plane.clients[client].toSend = Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        try plane.pump { plane.plane.sum(.held) == 1 }
        plane.remove(routeID: 1)
        try plane.pump { plane.clients[client].hasEnded }
        #expect(plane.clients[client].text.hasPrefix("HTTP/1.1 503"))
        #expect(plane.clients[client].text.contains("Retry-After"))
    }

    @Test func idempotentRequestsReuseAStreamWhereTheServiceAsksForIt() throws {
        let plane = try TestPlane(reactors: 1)
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(
            .http(domainSuffix: "", pathPrefix: "/"), listener: 0, routeID: 1, reactor: 0, slot: 0, reuseStreams: true,
            answer: FakeService.http("x"))
        let client = try plane.connect(0)
        for round in 0..<20 {
            plane.clients[client].received = []
            plane.clients[client].toSend = Array("GET /\(round) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
            try plane.pump { plane.clients[client].text.hasSuffix("x /\(round)") }
        }
        #expect(plane.services[0].opened == 1)
    }
}

extension String {
    /// The parts between occurrences of a separator.
    func components(of separator: String) -> [String] {
        var parts: [String] = [""]
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts[parts.count - 1] += rest[..<range.lowerBound]
            parts.append("")
            rest = rest[range.upperBound...]
        }
        parts[parts.count - 1] += rest
        return parts
    }
}
