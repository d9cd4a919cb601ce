import Logging
import NIOCore
import NIOEmbedded
import Testing
import Yamux

@testable import SocketMaster

/// A session with one stream that the application has, and one that waits for it.
private struct World {
    let fixture: Fixture
    let stream: StreamChannel
    let waiting: StreamChannel

    init() throws {
        fixture = try Fixture()
        fixture.acceptor.prepare = { stream, _ in try stream.syncOptions?.setOption(.autoRead, value: false) }
        stream = try fixture.open([1, 2, 3]).stream
        fixture.acceptor.isWilling = false
        fixture.send(fixture.proxy.open([4]))
        // Acknowledgements are no longer due.
        fixture.advance(by: .milliseconds(10))
        waiting = fixture.handler.queued[fixture.handler.queued.startIndex]
    }

    func check() { fixture.handler.checkInvariants(isTick: true) }
}

/// What may go wrong, and the words of the rule that it breaks.
private enum Breakage: String, CaseIterable, Codable {
    case streamWaitsAgain = "a stream goes from waiting to closed and not back"
    case outputOpensAgain = "an output that was closed does not open again"
    case endIsTakenBack = "an end is the end"
    case sessionBeginsAgain = "a session that ends does not begin again"
    case unseenAcknowledged = "what nobody has seen is not acknowledged"
    case strangerAcknowledged = "nothing is said of a stream that is over"
    case wordBehindTheLast = "nothing is said behind the last word"
    case finBesideData = "FIN never stands beside data"
    case givenBackTooEarly = "nothing is given back before GoAway"
    case initializedTwice = "a stream is initialized once"
    case deliveredWhileTaken = "the application does not run while bytes are taken apart"
    case readyTwice = "a stream stands among those that send once"
    case waitUncounted = "the streams that wait are counted"
    case windowUncounted = "what windows have grown by is counted"
    case streamElsewhere = "a session and its stream know of each other"
    case closedForEver = "who has closed has so long to end"
    case nobodySends = "a stream that waits to send will do so"
    case writtenForNobody = "what is written down goes out"
    case lostAndForgotten = "who has lost the session learns of an end"
    case bytesBeyondTheWindow = "what is not read yet counts in the window"
    case readWithoutInput = "only who can get bytes waits for them"
    case failedAndKept = "who fails has been forgotten by the session"
    case droppedTooMuch = "only what has come is dropped"
    case takenTwice = "a stream is taken once"
    case initializedBeyondBound = "no stream is initialized beyond the bound"
    case chanceBeyondOne = "chance is a part of one"
    case sessionAddedTwice = "a session is added once"
    case poolShutDownTwice = "a pool is shut down once"

    func happen() throws {
        switch self {
        case .droppedTooMuch:
            var queue = InboundQueue()
            queue.append(ByteBuffer(bytes: [1, 2]), allocator: ByteBufferAllocator())
            queue.drop(3)
        case .takenTwice: _ = UntakenStreams().remove()
        case .initializedBeyondBound:
            let untaken = UntakenStreams()
            for _ in 0...UntakenStreams.maximum { untaken.add() }
        case .chanceBeyondOne:
            var backoff = Backoff(minimum: .milliseconds(1), maximum: .seconds(1))
            _ = backoff.next(chance: 1.5)
        case .sessionAddedTwice:
            let listener = ListenerChannel<Int>(eventLoop: EmbeddedEventLoop(), shutDown: { _, _ in })
            let session = UntakenStreams()
            for _ in 0..<2 { listener.addSession(session) {} }
        case .poolShutDownTwice:
            let loop = EmbeddedEventLoop()
            let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let registrar = Registrar(
                address: .standard, definition: SocketDefinition(port: 80), configuration: .init(), log: log)
            let pool = SessionPool(eventLoop: loop, group: loop, registrar: registrar, log: log)
            for _ in 0..<2 { pool.shutDown(quiet: loop.makePromise(), ended: loop.makePromise()) }
            loop.run()
        default:
            let world = try World()
            happen(to: world, world.fixture.handler)
            world.check()
        }
    }

    private func happen(to world: World, _ session: SessionHandler) {
        let (stream, waiting) = (world.stream, world.waiting)
        switch self {
        case .streamWaitsAgain: stream.phase = .queued
        case .outputOpensAgain:
            stream.close(mode: .output, promise: nil)
            stream.output = .open
        case .endIsTakenBack:
            stream.remoteEnd = .finished
            stream.remoteEnd = .open
        case .sessionBeginsAgain:
            world.fixture.channel.close(promise: nil)
            session.phase = .open
        case .unseenAcknowledged: session.acknowledge(waiting)
        case .strangerAcknowledged:
            session.forget(stream)
            session.acknowledge(stream)
        case .wordBehindTheLast:
            world.fixture.channel.close(promise: nil)
            session.put(.ping(1))
        case .finBesideData: session.put(FrameHeader(type: .data, flags: .fin, streamID: 1, length: 1))
        case .givenBackTooEarly: session.giveBack()
        case .initializedTwice: session.initialized(stream)
        case .deliveredWhileTaken:
            session.isTakingApart = true
            session.deliverTouched()
        case .readyTwice:
            stream.isReady = true
            for _ in 0..<2 { session.ready.append(stream) }
            session.isSendDue = true
            session.flush()
        default: disagree(world, session)
        }
    }

    /// What is only found when all is looked at.
    private func disagree(_ world: World, _ session: SessionHandler) {
        let (stream, waiting) = (world.stream, world.waiting)
        switch self {
        case .waitUncounted: session.queuedCount += 1
        case .windowUncounted: session.extraWindow += 1
        case .streamElsewhere: session.streams[99] = session.streams.removeValue(forKey: stream.state.id)
        case .closedForEver:
            stream.close(promise: nil)
            stream.lingerDeadline = nil
        case .nobodySends:
            stream.isReady = true
            session.ready.append(stream)
        case .writtenForNobody: session.put(.ping(1))
        case .lostAndForgotten:
            session.forget(stream)
            stream.checkInvariants()
        case .bytesBeyondTheWindow: stream.received(ByteBuffer(bytes: [5]))
        case .readWithoutInput: waiting.isReadPending = true
        case .failedAndKept: stream.fail(StreamChannel.resetError)
        default: break
        }
    }
}

@Suite(.serialized)
struct InvariantTests {
    @Test func aWorldInWhichNothingIsBrokenPasses() throws {
        let world = try World()
        world.check()
        world.stream.checkInvariants()
        world.waiting.checkInvariants()
    }

    @Test(arguments: Breakage.allCases)
    private func whatBreaksARuleTrapsAndNamesIt(_ breakage: Breakage) async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [breakage] in
            try breakage.happen()
        }
        let words = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(words.contains(breakage.rawValue), "\(words.suffix(2_000))")
    }
}
