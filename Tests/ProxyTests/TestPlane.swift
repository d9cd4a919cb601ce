import CKernel
import Glibc
import Reactor
import Routing
import TLS
import Testing

@testable import Proxy

/// A data plane with real rings and sockets and the test as its control thread.
final class TestPlane {
    let dataPlane: DataPlane
    var publisher: SnapshotPublisher
    var services: [FakeService] = []
    var clients: [TestClient] = []
    /// Clients that only hold their connections.
    var idle: [TestSocket] = []
    private var generation: UInt64 = 1
    private var sessionFDs: [Int32] = []
    private var routes: [(listener: Int, route: RouteDefinition)] = []
    private var ports: [Int: UInt16] = [:]
    private var nextListenerGeneration: UInt32 = 1

    init(reactors: Int, change: (inout DataPlaneLimits) -> Void = { _ in }) throws {
        try TLSEnvironment.start(minimum: .v12)
        var limits = DataPlaneLimits(smallWithReactors: reactors)
        change(&limits)
        let first = SnapshotBuilder.build(generation: generation, listeners: [], hashSeed: 7)
        publisher = SnapshotPublisher(reactors: reactors, first: first)
        let plane = try Plane(limits: limits, mailboxes: publisher.mailboxes)
        dataPlane = try DataPlane(plane: plane, seed: 42, processors: [])
        try dataPlane.start()
    }

    var plane: Plane { dataPlane.plane }

    /// Opens a listener on every reactor, on a port of the kernel's choice.
    func listen(_ listener: Int) throws {
        var port: UInt16 = 0
        var command = Command(.prepareListener)
        command.listener = Int32(listener)
        command.generation = nextListenerGeneration
        nextListenerGeneration += 1
        for reactor in plane.peers.indices { plane.send(command, to: reactor) }
        for reactor in plane.peers.indices {
            let fd = try TestSocket.listening(on: port, isFirst: reactor == 0).fd
            if reactor == 0 {
                port = UInt16(ck_bound_port(fd))
                _ = ck_enable_reuse_port(fd)
            }
            command.kind = .openListener
            command.fd = fd
            plane.send(command, to: reactor)
        }
        ports[listener] = port
    }

    /// Registers a service's session on a reactor.
    func serve(
        _ kind: RouteDefinition.Kind,
        listener: Int,
        routeID: UInt32,
        reactor: Int,
        slot: Int,
        reuseStreams: Bool = false,
        answer: @escaping FakeService.Answer
    ) throws {
        var pair: [Int32] = [0, 0]
        try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        _ = fcntl(pair[0], F_SETFL, O_NONBLOCK)
        let handle = SessionHandle(reactor: reactor, index: slot, generation: 1)
        var command = Command(.adoptSession)
        command.session = handle
        command.fd = pair[0]
        command.route = routeID
        command.options.reusesStreams = reuseStreams
        plane.send(command, to: reactor)
        if let place = routes.firstIndex(where: { $0.route.id == routeID }) {
            routes[place].route.sessions.append(handle)
        } else {
            let route = RouteDefinition(
                id: routeID, kind: kind, sessions: [handle], reuseStreams: reuseStreams, figures: Self.figures(routeID))
            routes.append((listener, route))
        }
        publish()
        let response = UnsafeMutableRawPointer.allocate(byteCount: 2, alignment: 1)
        unsafe response.copyMemory(from: "OK", byteCount: 2)
        command = Command(.announceSession)
        command.session = handle
        command.address = UInt(bitPattern: response)
        command.count = 2
        plane.send(command, to: reactor)
        // The response is not yamux: it is taken off before the service reads.
        var two = [UInt8](repeating: 0, count: 2)
        try #require(unsafe recv(pair[1], &two, 2, Int32(MSG_WAITALL)) == 2)
        #expect(two == Array("OK".utf8))
        services.append(FakeService(fd: pair[1], answer: answer))
    }

    /// The slot of a route's figures.
    static func figures(_ routeID: UInt32) -> UInt16 { UInt16(routeID) + 1 }

    func figures(ofRoute id: UInt32) -> RouteFigures { plane.figures(ofRoute: Int(Self.figures(id))) }

    /// What cannot be, whatever has happened: of all routes, and of requests without one, when nothing is under way.
    func checkFigures(routes: ClosedRange<Int>) {
        for slot in 0...(routes.upperBound + 1) {
            let figures = plane.figures(ofRoute: slot)
            let replied = figures[.durations].reduce(0, +)
            #expect(figures.openRequests == 0 && figures.openRelays == 0 && figures.waiting == 0, "slot \(slot)")
            #expect(figures[.begun] == figures.ended || slot == 0, "slot \(slot)")
            #expect(figures[.relays] == figures[.relaysEnded], "slot \(slot)")
            #expect(replied <= figures.ended, "slot \(slot)")
            #expect(figures[.heldTimes].reduce(0, +) == figures[.held] - figures[.waitMoved], "slot \(slot)")
        }
    }

    /// Takes every session of a route out of the snapshot, or the route altogether.
    func hold(routeID: UInt32) {
        for place in routes.indices where routes[place].route.id == routeID { routes[place].route.sessions = [] }
        publish()
    }

    func remove(routeID: UInt32) {
        routes.removeAll { $0.route.id == routeID }
        publish()
    }

    private func publish() {
        generation += 1
        let listeners = Dictionary(grouping: routes, by: \.listener).map { listener, entries in
            ListenerDefinition(index: listener, routes: entries.map(\.route))
        }
        let snapshot = SnapshotBuilder.build(generation: generation, listeners: listeners, hashSeed: 7)
        _ = publisher.publish(snapshot)
        for peer in plane.peers { peer.doorbell.ring() }
    }

    func port(of listener: Int) throws -> UInt16 { try #require(ports[listener]) }

    func connect(_ listener: Int) throws -> Int {
        clients.append(TestClient(socket: try TestSocket(connectedTo: #require(ports[listener]))))
        return clients.count - 1
    }

    /// Moves everything until the condition holds; gives up after 20 s.
    func pump(until condition: () -> Bool) throws {
        let deadline = Sockets.nowMilliseconds() + 10_000
        while !condition() {
            let counters = Counter.allCases.map { "\($0) \(plane.sum($0))" }.joined(separator: ", ")
            try #require(Sockets.nowMilliseconds() < deadline, "nothing more happens: \(counters)")
            for place in services.indices { services[place].pump() }
            for place in clients.indices { clients[place].pump() }
            Sockets.pause()
        }
    }

    func stop() {
        for reactor in plane.peers.indices { plane.send(Command(.stop), to: reactor) }
        dataPlane.join()
        for service in services { service.socket.close() }
        for client in clients { client.socket.close() }
        for socket in idle { socket.close() }
    }
}

extension DataPlaneLimits {
    /// As little as tests need, so that many planes can be there at once.
    init(smallWithReactors count: Int) {
        self.init()
        reactors = count
        connections = 512
        sessions = 32
        listeners = 8
        ringEntries = 256
        receiveBuffers = 64
        bufferBytes = 32 << 20
    }
}

struct TestClient {
    private(set) var socket: TestSocket
    var toSend: [UInt8] = []
    var received: [UInt8] = []
    var hasEnded = false
    var finishes = false

    mutating func pump() {
        if !toSend.isEmpty {
            toSend.removeFirst(socket.send(toSend[...]))
            if toSend.isEmpty, finishes { socket.finish() }
        }
        guard !hasEnded else { return }
        guard let bytes = socket.receive() else {
            hasEnded = true
            return
        }
        received += bytes
    }

    /// Closes its socket, whose number may be another test's from then on.
    mutating func leave() {
        socket.close()
        socket = TestSocket(fd: -1)
        hasEnded = true
    }

    var text: String { String(decoding: received, as: UTF8.self) }
}

extension Plane {
    /// Sends a command to a reactor that takes it sooner or later.
    func send(_ command: Command, to reactor: Int) {
        while !offer(command, to: reactor) { Sockets.pause() }
    }
}
