import CKernel
import Glibc
import Memory
import Routing
import TLS
import Testing

@testable import Proxy
@testable import Reactor

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
        #expect(stepped.worker.waiting.forRoute.count == 1)
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
                #expect(stepped.worker.accepting.isPaused == pauses, "\(result)")
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

    /// The kernel may bring bytes and not the end behind them. So whoever has said something is looked at once more.
    @Test func anEndThatTheKernelKeepsToItselfIsFoundOut() throws {
        var pair: [Int32] = [0, 0]
        try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        var stepped = try SteppedWorker()
        stepped.worker.beginTurn()
        let record = Connection(Client(fd: pair[0], listener: 0, listenerGeneration: 1))
        let client = stepped.worker.insert(record, Exchange(now: stepped.worker.now))
        stepped.worker.connections[client].isSettled = true
        stepped.worker.armReceive(client)
        // The beginning of a method: whose client it is cannot be known yet.
        try #require(unsafe write(pair[1], "G", 1) == 1)
        stepped.worker.ring.submitAndWait(milliseconds: 1_000)
        stepped.worker.beginTurn()
        stepped.worker.takeCompletions()
        stepped.worker.lookForUntoldEnds()
        #expect(stepped.worker.connections[client].receive == .armed, "it is there")
        // Other tests start processes, which may have it, too.
        shutdown(pair[1], Int32(SHUT_RDWR))
        stepped.worker.lookForUntoldEnds()
        #expect(stepped.worker.connections[client].receive == .canceling, "it has gone, and nobody has said so")
        // The end of the receive, and what the next one brings.
        for _ in 0..<2 {
            stepped.worker.ring.submitAndWait(milliseconds: 100)
            stepped.worker.beginTurn()
            stepped.worker.takeCompletions()
        }
        let isKnown = stepped.worker.connections[client].clientFinished || stepped.worker.connections[client].isClosing
        #expect(isKnown)
        Glibc.close(pair[1])
        stepped.leave()
    }

    /// Blocks that have to go back wait for their owner's queue, and for nobody else's.
    @Test func returnsGoOnBehindAPeerWhoseQueueIsFull() throws {
        var stepped = try SteppedWorker(reactors: 3)
        while stepped.plane.peers[1].commands.push(Command(.drain)) {}
        // Nobody looks into it.
        var chain = Chain()
        chain.head = 0
        for sender in [1, 2, 1, 2, 1] {
            stepped.worker.neighbours.giveBack(chain, to: sender)
        }
        stepped.worker.neighbours.retryReturns()
        #expect(stepped.worker.neighbours.returnCount == 3)
        for _ in 0..<2 { #expect(stepped.plane.peers[2].commands.pop()?.kind == .takeBack) }
        let isEmpty = stepped.plane.peers[2].commands.pop() == nil
        #expect(isEmpty)
        while stepped.plane.peers[1].commands.pop() != nil {}
        stepped.worker.neighbours.retryReturns()
        #expect(stepped.worker.neighbours.returnCount == 0)
        for _ in 0..<3 { #expect(stepped.plane.peers[1].commands.pop()?.kind == .takeBack) }
        stepped.leave()
    }
}
