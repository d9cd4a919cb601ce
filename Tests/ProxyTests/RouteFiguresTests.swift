import Memory
import Routing
import Testing

@testable import Proxy

private let http = RouteDefinition.Kind.http(domainSuffix: "", pathPrefix: "/")

private func reply(_ status: String, _ body: String = "", _ fields: String = "") -> [UInt8] {
    Array("HTTP/1.1 \(status)\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
}

/// Answers each whole head with a status that its path names.
private let answerByPath: FakeService.Answer = { stream in
    let text = String(decoding: stream.received, as: UTF8.self)
    guard text.hasSuffix("\r\n\r\n"), let path = text.components(of: " ").dropFirst().first else { return ([], false) }
    stream.received = []
    return (reply("\(path.dropFirst()) Status", "body"), true)
}

@Suite(.serialized)
struct RouteFiguresTests {
    @Test func theWordsOfARouteDoNotReachIntoTheNextOnes() {
        #expect(RouteCounter.allCases.map(\.place) == RouteCounter.allCases.map(\.rawValue))
        var words = Set(RouteCounter.allCases.map(\.place))
        for histogram in RouteHistogram.allCases {
            let buckets = histogram.place..<(histogram.place + RouteHistogram.bucketCount)
            #expect(words.isDisjoint(with: buckets))
            words.formUnion(buckets)
        }
        #expect(words == Set(0..<RouteCounter.stride))
        #expect(DataPlaneLimits.routeBytes <= 1_024)
    }

    @Test(arguments: RouteHistogram.allCases)
    func aTimeIsInTheFirstBucketWhoseBoundItDoesNotPass(_ histogram: RouteHistogram) {
        let bounds = histogram.bounds
        #expect(bounds.count == RouteHistogram.bucketCount - 1 && bounds == bounds.sorted())
        for time in [0, 1, .max] + bounds.flatMap({ [$0 - 1, $0, $0 + 1] }) {
            let bucket =
                histogram == .heldTimes
                ? RouteHistogram.bucket(ofWait: time) : RouteHistogram.bucket(ofRequest: time)
            #expect(bucket == bounds.firstIndex { time <= $0 } ?? bounds.count, "\(time)")
        }
    }

    @Test func eachCauseOfAListenerIsOneOfARouteOrIsLeftOutOnPurpose() {
        let ofRoutes = Set(ListenerCounter.allCases.compactMap(\.ofRoute))
        let failures = RouteCounter.allCases.filter { "\($0)".hasPrefix("failed") }
        #expect(ofRoutes.isSuperset(of: failures))
        // A failure of the service's is one of its route. What is the client's fault has a status, or is a handshake.
        for counter in ListenerCounter.allCases where counter.isFailure && counter.ofRoute == nil {
            let name = "\(counter)"
            let isElsewhere = ["refused", "handshake", "closed"].contains { name.hasPrefix($0) }
            #expect(isElsewhere || name == "resetQueueFull" || name == "cutBadRequest", "\(name)")
        }
    }

    @Test(arguments: [1, 2, 4])
    func repliesAreCountedByClassWithTheirBytes(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors) { $0.forceHandOver = reactors > 1 }
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(http, listener: 0, routeID: 1, reactor: reactors - 1, slot: 0, answer: answerByPath)
        let statuses = [200, 201, 301, 404, 418, 500, 503, 999, 204]
        var (sent, received) = (0, 0)
        for _ in 0..<3 {
            let client = try plane.connect(0)
            for status in statuses {
                let request = Array("GET /\(status) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
                sent += request.count
                plane.clients[client].received = []
                plane.clients[client].toSend = request
                try plane.pump { plane.clients[client].text.hasSuffix(status == 204 ? "\r\n\r\n" : "body") }
                received += plane.clients[client].received.count
            }
        }
        let figures = plane.figures(ofRoute: 1)
        #expect(figures[.begun] == 27 && figures.ended == 27)
        #expect(figures[.success] == 9 && figures[.redirection] == 3)
        #expect(figures[.clientError] == 6 && figures[.serverError] == 9)
        #expect(figures[.bytesIn] == UInt64(sent) && figures[.bytesOut] == UInt64(received))
        #expect(figures[.durations].reduce(0, +) == 27 && figures[.firstBytes].reduce(0, +) == 27)
        #expect(figures[.firstByte] <= figures[.duration])
        plane.checkFigures(routes: 1...1)
    }

    @Test func whatFindsNoRouteIsCountedWhereNoRouteIs() throws {
        let plane = try TestPlane(reactors: 1)
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(
            .http(domainSuffix: "a", pathPrefix: ""), listener: 0, routeID: 1, reactor: 0, slot: 0,
            answer: answerByPath)
        for request in ["GET / HTTP/1.1\r\nHost: b\r\n\r\n", "BAD\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
            let client = try plane.connect(0)
            plane.clients[client].toSend = Array(request.utf8)
            try plane.pump { plane.clients[client].text.hasPrefix("HTTP/1.1 4") }
        }
        let nowhere = plane.plane.figures(ofRoute: RouteCounter.slotOfNone)
        #expect(nowhere[.clientError] == 3 && nowhere[.begun] == 0)
        #expect(plane.figures(ofRoute: 1) == RouteFigures())
    }

    @Test(arguments: [1, 2])
    func aRelayIsOpenUntilItEnds(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors)
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(.raw, listener: 0, routeID: 1, reactor: reactors - 1, slot: 0, answer: FakeService.echo)
        let client = try plane.connect(0)
        let bytes = [UInt8](repeating: 7, count: 700_000)
        plane.clients[client].toSend = bytes
        try plane.pump { plane.clients[client].received.count == bytes.count }
        #expect(plane.figures(ofRoute: 1).openRelays == 1)
        plane.clients[client].finishes = true
        plane.clients[client].toSend = [1]
        try plane.pump { plane.clients[client].hasEnded && plane.figures(ofRoute: 1).openRelays == 0 }
        let figures = plane.figures(ofRoute: 1)
        #expect(figures[.bytesIn] == 700_001 && figures[.bytesOut] == 700_001)
        #expect(figures[.begun] == 0 && figures[.durations].reduce(0, +) == 0)
        plane.checkFigures(routes: 1...1)
    }

    /// It is a request with a reply, and then a relay whose time is no request's.
    @Test func anUpgradeIsARequestAndThenARelay() throws {
        let plane = try TestPlane(reactors: 1)
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(http, listener: 0, routeID: 1, reactor: 0, slot: 0) { stream in
            let isAsked = String(decoding: stream.received, as: UTF8.self).hasSuffix("\r\n\r\n")
            guard isAsked else { return ([], stream.hasEnded) }
            stream.received = []
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello"
            return (Array(head.utf8), false)
        }
        let client = try plane.connect(0)
        let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
        plane.clients[client].toSend = Array(head.utf8)
        try plane.pump { plane.clients[client].text.hasSuffix("hello") }
        let open = plane.figures(ofRoute: 1)
        #expect(open[.begun] == 1 && open[.switched] == 1 && open.openRequests == 0 && open.openRelays == 1)
        #expect(open[.durations].reduce(0, +) == 0)
        plane.clients[client].leave()
        try plane.pump { plane.figures(ofRoute: 1).openRelays == 0 }
        plane.checkFigures(routes: 1...1)
    }

    /// Held, released, sent again: each once, wherever the client goes meanwhile. What it says is counted once as well.
    @Test(arguments: [1, 2, 4])
    func whatIsSentAgainIsCountedOnce(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors) { $0.forceHandOver = reactors > 2 }
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(http, listener: 0, routeID: 1, reactor: 0, slot: 0) { _ in ([], false) }
        let clients = try (0..<40).map { _ in try plane.connect(0) }
        let request = Array("GET /200 HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        for client in clients { plane.clients[client].toSend = request }
        try plane.pump { plane.services[0].opened == 40 }
        plane.services[0].socket.finish()
        plane.hold(routeID: 1)
        try plane.pump { plane.plane.sum(.sentAgain, ofListener: 0) == 40 && plane.figures(ofRoute: 1).waiting == 40 }
        #expect(plane.figures(ofRoute: 1).openRequests == 40)
        try plane.serve(http, listener: 0, routeID: 1, reactor: reactors - 1, slot: 1, answer: answerByPath)
        try plane.pump { clients.allSatisfy { plane.clients[$0].text.hasSuffix("body") } }
        let figures = plane.figures(ofRoute: 1)
        #expect(figures[.begun] == 40 && figures[.success] == 40)
        #expect(figures[.held] == 40 && figures[.released] == 40 && figures[.expired] == 0)
        #expect(figures[.sentAgainEnded] == 40 && figures[.bytesIn] == UInt64(40 * request.count))
        plane.checkFigures(routes: 1...1)
    }

    /// The route of those who wait is gone: each gets 503, which is the route's.
    @Test(arguments: [1, 2])
    func whoWaitsInVainIsCountedAsExpired(reactors: Int) throws {
        let plane = try TestPlane(reactors: reactors)
        defer { plane.stop() }
        try plane.listen(0)
        try plane.serve(http, listener: 0, routeID: 1, reactor: 0, slot: 0, answer: answerByPath)
        plane.hold(routeID: 1)
        let clients = try (0..<10).map { _ in try plane.connect(0) }
        for client in clients { plane.clients[client].toSend = Array("GET /200 HTTP/1.1\r\nHost: x\r\n\r\n".utf8) }
        try plane.pump { plane.figures(ofRoute: 1).waiting == 10 }
        // Some leave before that.
        for client in clients.prefix(3) {
            plane.clients[client].leave()
        }
        try plane.pump { plane.figures(ofRoute: 1)[.abandoned] == 3 }
        plane.remove(routeID: 1)
        try plane.pump { clients.dropFirst(3).allSatisfy { plane.clients[$0].text.hasPrefix("HTTP/1.1 503") } }
        let figures = plane.figures(ofRoute: 1)
        #expect(figures[.held] == 10 && figures[.released] == 0 && figures[.expired] == 7)
        #expect(figures[.serverError] == 7 && figures[.abandoned] == 3 && figures[.clientGone] == 3)
        plane.checkFigures(routes: 1...1)
    }

    /// A service breaks off in the middle of a reply, another one answers nonsense, and one may have run.
    @Test func whatFailsIsCountedByItsCause() throws {
        let plane = try TestPlane(reactors: 1)
        defer { plane.stop() }
        try plane.listen(0)
        let answers: [String: [UInt8]] = [
            "/cut": Array("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart".utf8),
            "/bad": Array("nonsense\r\n\r\n".utf8),
        ]
        try plane.serve(http, listener: 0, routeID: 1, reactor: 0, slot: 0) { stream in
            let text = String(decoding: stream.received, as: UTF8.self)
            guard text.hasSuffix("\r\n\r\n"), let path = text.components(of: " ").dropFirst().first else {
                return ([], false)
            }
            stream.received = []
            return (answers[String(path)] ?? [], true)
        }
        for (method, path) in [("GET", "/cut"), ("GET", "/bad"), ("POST", "/none")] {
            let client = try plane.connect(0)
            plane.clients[client].toSend = Array("\(method) \(path) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
            try plane.pump { plane.clients[client].hasEnded }
        }
        let figures = plane.figures(ofRoute: 1)
        #expect(figures[.failedCut] == 1 && figures[.failedBrokenReply] == 1 && figures[.failedMayHaveRun] == 1)
        #expect(figures[.success] == 1 && figures[.serverError] == 2)
        plane.checkFigures(routes: 1...1)
    }
}
