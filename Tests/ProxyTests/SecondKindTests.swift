#if SECOND_KIND
import Glibc
import HTTP1
import Memory
import Routing
import Testing
import Yamux

@testable import Exchanges
@testable import Proxy
@testable import Reactor

/// A second kind of services goes through the same meeting place as the first one: whatever a client can ask for is
/// asked of memory here, and answered from it.
@Suite(.serialized)
struct SecondKindTests {
    /// One session of the second kind, and a client of which the test has the other end.
    private final class World {
        var stepped: SteppedWorker
        let client: Int32
        private let peer: Int32

        init(_ mode: ConnectionMode) throws {
            var stepped = try SteppedWorker()
            stepped.worker.beginTurn()
            let session = SessionHandle(reactor: 0, index: 0, generation: 1)
            stepped.worker.sessions[0] = Session(limits: stepped.worker.limits.session, firstStreamID: 1)
            stepped.worker.sessions[0].kind = .memory
            stepped.worker.sessions[0].phase = .live
            stepped.worker.sessions[0].generation = 1
            stepped.worker.sessions[0].route = 1
            stepped.worker.sessions[0].reading.way = .received
            stepped.worker.scheduleTick(0)
            let kind: RouteDefinition.Kind
            switch mode {
            case .relay: kind = .raw
            case .http, .undecided: kind = .http(domainSuffix: "", pathPrefix: "/")
            }
            stepped.publish(RouteDefinition(id: 1, kind: kind, sessions: [session], reuseStreams: false))
            stepped.worker.endTurn()
            stepped.worker.beginTurn()
            stepped.worker.takeCommands()
            var pair: [Int32] = [0, 0]
            try #require(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
            _ = fcntl(pair[0], F_SETFL, O_NONBLOCK)
            _ = fcntl(pair[1], F_SETFL, O_NONBLOCK)
            peer = pair[1]
            var record = Client(fd: pair[0], listener: 0, listenerGeneration: 1)
            record.mode = mode
            client = stepped.worker.insert(Connection(record), Exchange(now: stepped.worker.now))
            stepped.worker.continueReceiving(client)
            self.stepped = stepped
        }

        /// The client says something.
        func say(_ text: String) {
            let bytes = Array(text.utf8)
            _ = unsafe bytes.withUnsafeBytes { unsafe write(peer, $0.baseAddress, $0.count) }
            turn()
        }

        /// What the client has got since.
        func heard() -> String {
            turn()
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let count = unsafe read(peer, &bytes, bytes.count)
            return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
        }

        /// The service says something. True: some of it was nobody's.
        func answer(_ text: String) -> Bool {
            // As in the buffers of a reactor, 64 more are readable behind those that count.
            let bytes = Array(text.utf8) + [UInt8](repeating: 0, count: 64)
            let client = client
            let isLeft = unsafe bytes.withUnsafeBytes {
                unsafe stepped.worker.deliver(client, UnsafeRawBufferPointer(rebasing: $0.dropLast(64)))
            }
            turn()
            return isLeft
        }

        func turn() {
            for _ in 0..<3 {
                stepped.worker.ring.submitAndWait(milliseconds: 20)
                stepped.worker.beginTurn()
                stepped.worker.takeCompletions()
                stepped.worker.endTurn()
            }
        }

        var half: Int32 { stepped.worker.exchanges[client].half.index }

        func end() {
            close(peer)
            turn()
            stepped.leave()
        }
    }

    @Test func requestsGoThereAndRepliesComeBack() throws {
        let world = try World(.http)
        for number in 1...3 {
            world.say("POST /\(number) HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
            let half = world.half
            try #require(half >= 0)
            world.say("def")
            let text = world.stepped.worker.memoryHalves.text(half)
            #expect(text.hasPrefix("POST /\(number) HTTP/1.1\r\n") && text.hasSuffix("\r\n\r\nabcdef"))
            #expect(!world.answer("HTTP/1.1 200 OK\r\nContent-Le"))
            #expect(!world.answer("ngth: 5\r\n\r\nhel"))
            #expect(world.half == half)
            #expect(world.answer("lo, and what is nobody's"))
            let reply = world.heard()
            #expect(reply.hasPrefix("HTTP/1.1 200 OK\r\n") && reply.hasSuffix("\r\n\r\nhello"), "\(reply)")
            #expect(world.half == -1 && world.stepped.worker.exchanges[world.client].owedCredit == 0)
        }
        world.end()
    }

    /// It takes 4096 bytes, and then no more until it says so.
    @Test func whatItHasNoRoomForWaits() throws {
        let world = try World(.relay)
        world.stepped.worker.routeRaw(world.client)
        let half = world.half
        try #require(half >= 0)
        world.say(String(repeating: "x", count: 6_000))
        #expect(world.stepped.worker.memoryHalves[half].taken == 4_096)
        #expect(world.stepped.worker.connections[world.client].received.count == 6_000 - 4_096)
        #expect(!world.answer("said"))
        #expect(world.heard() == "said")
        #expect(world.stepped.worker.memoryHalves[half].credit == 4)
        world.end()
    }

    /// The client's end goes on when the service has accepted; the service's own end is the client's.
    @Test func endsGoBothWays() throws {
        let world = try World(.relay)
        world.stepped.worker.routeRaw(world.client)
        let half = world.half
        try #require(half >= 0)
        world.stepped.worker.connections[world.client].client.end = .finished
        world.stepped.worker.settle(world.client)
        #expect(!world.stepped.worker.memoryHalves[half].isFinished)
        world.stepped.worker.memoryHalves[half].isAccepted = true
        world.stepped.worker.serviceAccepted(world.client)
        world.stepped.worker.settle(world.client)
        #expect(world.stepped.worker.memoryHalves[half].isFinished)
        world.stepped.worker.memoryHalves[half].isEnded = true
        world.stepped.worker.serviceFinished(world.client)
        #expect(world.stepped.worker.connections[world.client].isClosing)
        world.end()
        #expect(world.stepped.plane.sum(.connections) == 0)
    }

    /// What we answer ourselves has waited no longer than until then, and the next request begins afresh.
    @Test func anAnswerOfOurOwnEndsPatience() throws {
        let world = try World(.http)
        world.stepped.worker.beginPatience(world.client)
        world.stepped.worker.patience[world.client].waitedSince = 1
        world.stepped.worker.exchanges[world.client].state.past.attempts.begin()
        world.say("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
        #expect(world.heard().hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(!world.stepped.worker.exchanges[world.client].isPatient)
        #expect(world.stepped.worker.exchanges[world.client].state.past.attempts.areNone)
        world.end()
    }

    /// What came to nothing is sent again where it may be, to another half.
    @Test func whatIsLostIsSentAgain() throws {
        let world = try World(.http)
        world.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        let half = world.half
        try #require(half >= 0)
        let before = world.stepped.worker.memoryHalves.text(half)
        world.stepped.worker.loseExchange(world.client, .reset, isUndelivered: false)
        world.turn()
        #expect(world.half >= 0 && world.stepped.worker.memoryHalves.text(world.half) == before)
        #expect(!world.answer("HTTP/1.1 204 No Content\r\n\r\n"))
        #expect(world.heard().hasPrefix("HTTP/1.1 204 No Content\r\n"))
        world.end()
    }
}
#endif
