import Memory
import Routing
import TLS

@testable import Exchanges
@testable import Proxy
@testable import Reactor

/// A worker whose turns the test takes step by step, so that other threads do what they do just between two steps.
struct SteppedWorker: ~Copyable {
    var worker: Worker
    var publisher: SnapshotPublisher
    let plane: Plane

    init(reactors: Int = 2) throws {
        try TLSEnvironment.start(minimum: .v12)
        let limits = DataPlaneLimits(smallWithReactors: reactors)
        let first = SnapshotBuilder.build(generation: 1, listeners: [], hashSeed: 7)
        let publisher = SnapshotPublisher(reactors: limits.reactors, first: first)
        let plane = try Plane(limits: limits, mailboxes: publisher.mailboxes)
        // The other reactors only have to be there.
        let start = WorkerStart(
            index: 0, plane: plane, rings: try WorkerRings.make(limits),
            peersAddress: unsafe UInt(bitPattern: PeerView.all(of: plane)), seed: 1, processor: nil)
        worker = try Worker(start)
        self.publisher = publisher
        self.plane = plane
        var command = Command(.prepareListener)
        command.listener = 0
        command.generation = 1
        plane.send(command, to: 0)
    }

    /// What the control thread does when the first service for raw connections on the listener has registered.
    mutating func publishRawRoute() {
        publish(
            RouteDefinition(
                id: 1, kind: .raw, sessions: [SessionHandle(reactor: 0, index: 0, generation: 1)], reuseStreams: false))
    }

    /// The listener's only route.
    mutating func publish(_ route: RouteDefinition) {
        let listener = ListenerDefinition(index: 0, routes: [route])
        _ = publisher.publish(SnapshotBuilder.build(generation: 2, listeners: [listener], hashSeed: 7))
    }

    /// What the other reactor does when it gets a client whose session is here.
    func handOver(_ fd: Int32) {
        _ = plane.totals.add(1, at: Plane.Total.connections.rawValue)
        var command = Command(.handOver)
        var client = Client(fd: fd, listener: 0, listenerGeneration: 1)
        client.mode = .relay
        var history = ExchangeHistory(phaseSince: 0)
        history.handOvers = 1
        command.client = HandedOver(client, history, received: Chain())
        command.sender = 1
        plane.send(command, to: 0)
    }

    mutating func leave() {
        worker.stopSessions()
        worker.neighbours.mailbox.leave()
    }
}
