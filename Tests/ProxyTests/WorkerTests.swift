import CKernel
import Glibc
import Memory
import Routing
import TLS
import Testing

@testable import Proxy
@testable import Reactor

/// A worker whose turns the test takes step by step, so that other threads do what they do just between two steps.
private struct SteppedWorker: ~Copyable {
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
        let route = RouteDefinition(
            id: 1, kind: .raw, sessions: [SessionHandle(reactor: 0, index: 0, generation: 1)], reuseStreams: false)
        let listener = ListenerDefinition(index: 0, routes: [route])
        _ = publisher.publish(SnapshotBuilder.build(generation: 2, listeners: [listener], hashSeed: 7))
    }

    /// What the other reactor does when it gets a client whose session is here.
    func handOver(_ fd: Int32) {
        _ = plane.totals.add(1, at: Plane.Total.connections.rawValue)
        var command = Command(.handOver)
        command.fd = fd
        command.listener = 0
        command.generation = 1
        command.mode = .relay
        command.sender = 1
        command.handOvers = 1
        plane.send(command, to: 0)
    }

    mutating func leave() {
        worker.stopSessions()
        worker.mailbox.leave()
    }
}

@Suite(.serialized)
struct WorkerTests {
    /// The sender knew a route that the receiver's turn has begun without.
    @Test func whoIsHandedOverIsJudgedByNoOlderSnapshotThanItsSenders() throws {
        var pair: [Int32] = [0, 0]
        try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        defer { Glibc.close(pair[1]) }
        var stepped = try SteppedWorker()
        stepped.worker.beginTurn()
        stepped.publishRawRoute()
        stepped.handOver(pair[0])
        stepped.worker.takeCommands()
        // Its session has not been adopted: the client waits for that.
        #expect(stepped.worker.waiting.count == 1)
        #expect(stepped.worker.connections.count == 1)
        stepped.leave()
    }

    /// A client that has gone before it was accepted is its own affair; only want of descriptors or memory is
    /// everybody's.
    @Test func anAcceptThatFailsForOneClientPausesNobody() throws {
        let ofOne = [KernelError.connectionAborted, KernelError.protocolFailed, KernelError.notPermitted]
        for (results, pauses) in [(ofOne, false), ([-EMFILE, -ENFILE, -ENOMEM, -ENOBUFS], true)] {
            for result in results {
                var stepped = try SteppedWorker()
                stepped.worker.beginTurn()
                stepped.worker.acceptCompleted(
                    Completion(token: stepped.worker.acceptToken(0), result: result, flags: 2))
                #expect(stepped.worker.isAcceptPaused == pauses, "\(result)")
                stepped.leave()
            }
        }
    }

    /// A ring that is full is submitted in the middle of a turn, and what comes by that may be newer than the snapshot.
    @Test func whatCompletesWithinATurnIsTakenInTheNextOne() throws {
        var stepped = try SteppedWorker()
        let listener = try TestSocket.listening(on: 0, isFirst: true)
        var command = Command(.openListener)
        command.fd = listener.fd
        command.listener = 0
        stepped.plane.send(command, to: 0)
        let client = try TestSocket(connectedTo: UInt16(ck_bound_port(listener.fd)))
        defer { client.close() }
        stepped.worker.beginTurn()
        stepped.worker.takeCommands()
        stepped.worker.ring.submitAndWait(milliseconds: 1_000)
        stepped.worker.takeCompletions()
        #expect(stepped.plane.sum(.accepted) == 0)
        stepped.worker.beginTurn()
        stepped.worker.takeCompletions()
        #expect(stepped.plane.sum(.accepted) == 1)
        stepped.leave()
    }

    /// Blocks that have to go back wait for their owner's queue, and for nobody else's.
    @Test func returnsGoOnBehindAPeerWhoseQueueIsFull() throws {
        var stepped = try SteppedWorker(reactors: 3)
        while stepped.plane.peers[1].commands.push(Command(.drain)) {}
        for sender in [1, 2, 1, 2, 1] {
            unsafe stepped.worker.returns[stepped.worker.returnCount] = (Chain(), sender)
            stepped.worker.returnCount += 1
        }
        stepped.worker.retryReturns()
        #expect(stepped.worker.returnCount == 3)
        for _ in 0..<2 { #expect(stepped.plane.peers[2].commands.pop()?.kind == .takeBack) }
        let isEmpty = stepped.plane.peers[2].commands.pop() == nil
        #expect(isEmpty)
        while stepped.plane.peers[1].commands.pop() != nil {}
        stepped.worker.retryReturns()
        #expect(stepped.worker.returnCount == 0)
        for _ in 0..<3 { #expect(stepped.plane.peers[1].commands.pop()?.kind == .takeBack) }
        stepped.leave()
    }
}
