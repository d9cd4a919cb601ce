import Testing
import TestSupport
import Yamux

/// An id that was reset comes again only after the answer to a later ping: until then frames of the stream that had it
/// may be on their way, and would be taken for those of the new one.
@Suite struct StreamIDRestTests {
    private static let count = 32

    private func session(first: UInt32 = 1) -> SessionState {
        var limits = SessionLimits()
        limits.streamIDBits = 6
        return SessionState(role: .opener, limits: limits, firstStreamID: first)
    }

    private func open(_ count: Int, on session: inout SessionState) -> UInt32 {
        var last: UInt32 = 0
        for _ in 0..<count {
            #expect(session.canOpenStream && !session.awaitsPongForIDs)
            last = session.openStream()
            session.acknowledged(last)
        }
        return last
    }

    private func answer(_ ping: UInt32, on session: inout SessionState) {
        #expect(session.receiveSessionFrame(.pong(ping), now: 0) == .pong(ping))
    }

    @Test(arguments: [0, 1, 14, 15, 16, 17, 30, 31])
    func aResetIDWaitsForTheAnswerToALaterPing(place: Int) throws {
        var session = session()
        let id = open(place + 1, on: &session)
        let early = session.barrierPing()
        session.noteReset(id)
        answer(early, on: &session)
        _ = open(Self.count - 1, on: &session)
        #expect(session.nextStreamID == id && session.awaitsPongForIDs && !session.canOpenStream)
        #expect(session.mayProbe(now: 1 << 40) == false)
        let asked = session.pingForIDs()
        let ping = try #require(asked)
        #expect(session.pingForIDs() == nil && session.awaitsPongForIDs, "one is under way")
        answer(ping, on: &session)
        #expect(!session.awaitsPongForIDs && session.pingForIDs() == nil && open(1, on: &session) == id)
    }

    @Test func anAbortedOneWaitsAsWell() {
        var session = session()
        session.aborted(session.openStream())
        _ = open(Self.count - 1, on: &session)
        #expect(session.nextStreamID == 1 && session.awaitsPongForIDs)
    }

    @Test func aPingForAnythingElseWillDo() {
        var session = session()
        session.noteReset(open(1, on: &session))
        let ping = session.probe(now: 0, within: 1000)
        _ = open(Self.count - 1, on: &session)
        let isQuiet = session.pingForIDs() == nil
        #expect(session.awaitsPongForIDs && isQuiet)
        answer(ping, on: &session)
        _ = open(Self.count, on: &session)
    }

    /// Until an id comes again there is nothing to wait for, wherever the ids have begun.
    @Test(arguments: [1, 21, 31, 33, 63] as [UInt32])
    func nothingWaitsBeforeTheIDsHaveGoneRound(first: UInt32) {
        var session = session(first: first)
        for _ in 0..<Self.count { session.noteReset(open(1, on: &session)) }
        #expect(session.hasGoneRound && session.awaitsPongForIDs)
    }

    @Test func whatWasAnsweredLongAgoCostsNothing() {
        var session = session()
        for _ in 0..<200 {
            session.noteReset(open(1, on: &session))
            // Once in a quarter of a lap.
            if session.nextStreamID % 16 == 1 { answer(session.barrierPing(), on: &session) }
        }
        #expect(session.pingForIDs() == nil)
    }

    @Test func anIDWhosePingWasAnsweredDoesNotWaitForThoseResetLater() {
        var session = session()
        session.noteReset(open(2, on: &session))
        answer(session.barrierPing(), on: &session)
        session.noteReset(open(8, on: &session))
        _ = open(Self.count - 1, on: &session)
        #expect(session.nextStreamID == 19 && session.awaitsPongForIDs)
    }

    @Test func anIDAheadThatIsResetWaitsWhenItsTurnComes() throws {
        var session = session()
        _ = open(Self.count + 4, on: &session)
        // Stream 17 has lived for nearly a lap.
        session.noteReset(17)
        _ = open(4, on: &session)
        #expect(session.nextStreamID == 17 && session.awaitsPongForIDs)
        session.noteReset(63)
        #expect(session.awaitsPongForIDs)
        let asked = session.pingForIDs()
        let ping = try #require(asked)
        answer(ping, on: &session)
        _ = open(Self.count - 9, on: &session)
        #expect(session.nextStreamID == 63 && !session.awaitsPongForIDs, "that ping came later as well")
    }

    @Test func anIDThatIsPassedOverAndThenResetWaitsALapLater() {
        var session = session()
        _ = open(Self.count, on: &session)
        session.passOverStreamID()
        session.noteReset(1)
        _ = open(Self.count - 1, on: &session)
        #expect(session.nextStreamID == 1 && session.awaitsPongForIDs)
    }

    /// It would hold up every stream for ever, and show no other sign of it.
    @Test func whoNeverAnswersThePingThatStreamsWaitForIsDead() throws {
        var session = session()
        session.noteReset(open(1, on: &session))
        _ = open(Self.count - 1, on: &session)
        #expect(session.awaitsPongForIDs)
        for now: UInt64 in stride(from: 0, through: 60_000, by: 1_000) {
            session.noteReceived(now: now)
            #expect(session.nextLivenessStep(now: now) == .nothing, "nobody has asked")
        }
        let asked = session.pingForIDs()
        let ping = try #require(asked)
        for now: UInt64 in stride(from: 61_000, to: 71_000, by: 1_000) {
            session.noteReceived(now: now)
            #expect(session.nextLivenessStep(now: now) == .nothing && session.livenessDueAt == 71_000)
        }
        var other = session
        session.noteReceived(now: 71_000)
        #expect(session.nextLivenessStep(now: 71_000) == .dead)
        answer(ping, on: &other)
        other.noteReceived(now: 71_000)
        #expect(other.nextLivenessStep(now: 71_000) == .nothing && other.livenessDueAt == 81_000)
    }

    /// Against exact books: no id comes again too early, nobody waits while all is answered, and one ping is enough.
    @Test func noOrderOfEventsLetsAnIDComeTooEarly() {
        for seed in seeds(300) {
            var generator = SeededGenerator(seed: seed)
            var session = session(first: UInt32(2 * generator.number(0...31) + 1))
            let pongOneIn = UInt64(generator.number(1...40))
            var streams: Set<UInt32> = []
            var pings: [UInt32] = []
            var resting: [UInt32: UInt32] = [:]
            var nextPing: UInt32 = 1
            for step in 0..<600 {
                if session.hasGoneRound, streams.contains(session.nextStreamID) { session.passOverStreamID() }
                let isFree = !streams.contains(session.nextStreamID)
                if session.awaitsPongForIDs {
                    #expect(!resting.isEmpty, "seed \(seed), step \(step): nothing rests")
                    if let ping = session.pingForIDs() { pings.append(ping) }
                    nextPing = max(nextPing, (pings.last ?? 0) + 1)
                    #expect(!pings.isEmpty, "seed \(seed), step \(step): nobody asks")
                } else if isFree {
                    #expect(resting[session.nextStreamID] == nil, "seed \(seed), step \(step): too early")
                    let id = session.openStream()
                    session.acknowledged(id)
                    streams.insert(id)
                }
                if streams.count > 20 || generator.oneIn(2), let id = streams.sorted().randomElement(using: &generator)
                {
                    streams.remove(id)
                    if generator.oneIn(2) {
                        session.noteReset(id)
                        resting[id] = nextPing
                    }
                }
                if generator.oneIn(30) {
                    pings.append(session.barrierPing())
                    nextPing += 1
                }
                if !pings.isEmpty, generator.oneIn(pongOneIn) {
                    let ping = pings.removeFirst()
                    answer(ping, on: &session)
                    resting = resting.filter { $0.value > ping }
                }
            }
        }
    }

    /// The same on the wire: what was under way on a stream that was reset is dropped, and not given to the next one.
    @Test func lateFramesOfAResetStreamAreNotTakenForTheNewOnes() throws {
        var session = session()
        var streams: [UInt32: StreamState] = [:]
        let id = open(1, on: &session)
        var state = StreamState(id: id)
        _ = state.flagsForNextFrame()
        state.sendReset()
        session.noteReset(id)
        _ = open(Self.count - 1, on: &session)
        if session.canOpenStream { streams[session.openStream()] = StreamState(id: id) }
        // They come behind 31 streams, and still before the answer to a ping.
        for late: FrameHeader in [.data(id, 5), .credit(id, 100_000), .credit(id, 0, .fin), .credit(id, 0, .reset)] {
            let event = streams[id]?.receive(late)
            #expect(event == nil, "\(late)")
            #expect(session.receiveUnknownStream(late, now: 0) == .nothing)
        }
        let ping = session.pingForIDs()
        answer(try #require(ping), on: &session)
        #expect(session.canOpenStream && session.openStream() == id)
    }
}
