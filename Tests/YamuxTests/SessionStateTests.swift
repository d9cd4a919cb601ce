import Testing
import TestSupport
import Yamux

private func opener(now: UInt64 = 0, _ change: (inout SessionLimits) -> Void = { _ in }) -> SessionState {
    var limits = SessionLimits()
    change(&limits)
    return SessionState(role: .opener, limits: limits, now: now)
}

@Suite struct SessionStreamTests {
    @Test func openersHaveOddIDsAndAcceptorsEvenOnes() {
        var session = opener()
        #expect((0..<3).map { _ in session.openStream() } == [1, 3, 5])
        var other = SessionState(role: .acceptor, limits: SessionLimits())
        #expect((0..<3).map { _ in other.openStream() } == [2, 4, 6])
    }

    @Test func noMoreThan256AreUnacknowledged() {
        var session = opener()
        for _ in 0..<256 {
            #expect(session.canOpenStream)
            _ = session.openStream()
        }
        #expect(!session.canOpenStream && session.unacknowledged == 256 && session.mayProbe(now: 0) == false)
        session.acknowledged(7)
        #expect(session.canOpenStream)
    }

    @Test func refusedAndWithdrawnStreamsGiveTheirPlaceBack() {
        var session = opener { $0.unacknowledgedMaximum = 1 }
        let first = session.openStream()
        #expect(!session.canOpenStream)
        #expect(session.refused(first) == .none && session.canOpenStream)
        session.withdrawn(session.openStream())
        #expect(session.canOpenStream)
    }

    @Test func anAbortedStreamCountsUntilAHigherOneIsAcknowledged() {
        var session = opener { $0.unacknowledgedMaximum = 3 }
        let ids = (0..<3).map { _ in session.openStream() }
        session.aborted(ids[1])
        #expect(session.unacknowledged == 3)
        session.acknowledged(ids[0])
        #expect(session.unacknowledged == 2, "the aborted one is still behind")
        session.acknowledged(ids[2])
        #expect(session.unacknowledged == 0)
    }

    @Test func aStreamAbortedBehindAnAcknowledgedOneDoesNotCount() {
        var session = opener()
        let ids = (0..<2).map { _ in session.openStream() }
        session.acknowledged(ids[1])
        session.aborted(ids[0])
        #expect(session.unacknowledged == 0)
    }

    @Test func aFrameForAnAbortedStreamFreesItAndThoseBefore() {
        var session = opener { $0.unacknowledgedMaximum = 2 }
        let ids = (0..<2).map { _ in session.openStream() }
        session.aborted(ids[0])
        session.aborted(ids[1])
        #expect(session.receiveUnknownStream(.credit(ids[1], 0, .reset), now: 0) == .nothing)
        #expect(session.unacknowledged == 2, "a reset proves nothing")
        session.acknowledgedLate(ids[0])
        session.acknowledgedLate(ids[0])
        #expect(session.unacknowledged == 1)
        #expect(session.receiveUnknownStream(.credit(ids[1], 0, .ack), now: 0) == .nothing)
        #expect(session.unacknowledged == 0)
    }

    /// Against an exact account of what may lie in the queue: never below it, and right when a new stream is accepted.
    @Test func theTwoGenerationsNeverCountTooFew() {
        for seed in seeds(300) {
            var generator = SeededGenerator(seed: seed)
            var session = opener { $0.unacknowledgedMaximum = 16 }
            var live: [UInt32] = []
            var aborted: [UInt32] = []
            var acknowledgedHighest: UInt32 = 0
            for step in 0..<600 {
                if session.canOpenStream || session.mayProbe(now: UInt64(step) * 50) {
                    live.append(session.openStream())
                }
                if !live.isEmpty, generator.oneIn(2) {
                    let id = live.remove(at: generator.oneIn(2) ? 0 : generator.number(0...live.count - 1))
                    switch generator.number(0...6) {
                    case 0...1:
                        session.acknowledged(id)
                        acknowledgedHighest = max(acknowledgedHighest, id)
                    case 2: session.refused(id)
                    default:
                        session.aborted(id)
                        aborted.append(id)
                    }
                }
                // The queue itself holds no more than 16.
                let inQueue = min(16, aborted.filter { $0 > acknowledgedHighest }.count)
                #expect(session.unacknowledged >= UInt32(live.count + inQueue), "seed \(seed), step \(step)")
            }
            while !session.canOpenStream, let id = live.popLast() {
                session.acknowledged(id)
            }
            if session.canOpenStream || session.mayProbe(now: .max - 10_000) {
                session.acknowledged(session.openStream())
            }
            #expect(session.unacknowledged == UInt32(live.count), "seed \(seed)")
        }
    }

    @Test func whenAllAreAbortedOneProbeASecondIsAllowed() {
        var session = opener { $0.unacknowledgedMaximum = 4 }
        let ids = (0..<4).map { _ in session.openStream() }
        for id in ids.dropLast() { session.aborted(id) }
        #expect(session.mayProbe(now: 5000) == false, "one may still be acknowledged")
        session.aborted(ids[3])
        #expect(session.mayProbe(now: 5000) && session.mayProbe(now: 5001), "allowed until it is used")
        let probe = session.openStream()
        #expect(!session.canOpenStream && session.mayProbe(now: 9000) == false, "the probe is on its way")
        session.refused(probe)
        #expect(session.mayProbe(now: 5999) == false && session.mayProbe(now: 6000))
        let second = session.openStream()
        session.aborted(second)
        #expect(session.mayProbe(now: 6999) == false && session.mayProbe(now: 7000))
        session.acknowledged(session.openStream())
        #expect(session.unacknowledged == 0 && session.canOpenStream && session.mayProbe(now: 9000) == false)
    }

    @Test func refusalsInARowEndTheSessionAndProbesDoNotCount() {
        var session = opener { $0.refusalsMaximum = 3 }
        #expect(session.refused(session.openStream()) == .none && session.refused(session.openStream()) == .none)
        session.acknowledged(session.openStream())
        #expect(session.refused(session.openStream()) == .none && session.refused(session.openStream()) == .none)
        #expect(session.refused(session.openStream()) == .refusalFlood)

        var full = opener {
            $0.refusalsMaximum = 2
            $0.unacknowledgedMaximum = 1
        }
        full.aborted(full.openStream())
        for now: UInt64 in [1000, 2000, 3000, 4000] {
            #expect(full.mayProbe(now: now) && full.refused(full.openStream()) == .none)
        }
    }

    @Test func goAwayEitherWayEndsOpening() {
        var asked = opener()
        #expect(asked.receiveSessionFrame(.goAway(.normal), now: 0) == .drain && asked.goAwayReceived)
        #expect(asked.receiveSessionFrame(.goAway(.normal), now: 0) == .nothing)
        #expect(!asked.canOpenStream && asked.isDraining)
        var asking = opener()
        asking.sendGoAway()
        #expect(!asking.canOpenStream && asking.isDraining && asking.goAwaySent && !asking.goAwayReceived)
    }

    @Test func ourOwnFaultsTrap() async {
        await #expect(processExitsWith: .failure) {
            var session = SessionState(role: .opener, limits: SessionLimits())
            session.acknowledged(session.openStream())
            session.acknowledged(1)
        }
        await #expect(processExitsWith: .failure) {
            var session = SessionState(role: .opener, limits: SessionLimits())
            session.sendGoAway()
            _ = session.openStream()
        }
        await #expect(processExitsWith: .failure) {
            var session = SessionState(role: .opener, limits: SessionLimits())
            session.aborted(1)
        }
    }
}

@Suite struct SessionFrameTests {
    @Test func aPingIsAnsweredWithItsValue() {
        var session = opener()
        #expect(session.receiveSessionFrame(.ping(.max), now: 0) == .answerPing(.max))
    }

    @Test func pingsBeyondBurstAndPaceAreABreach() {
        var session = opener(now: 50)
        for value: UInt32 in 0..<1000 {
            #expect(session.receiveSessionFrame(.ping(value), now: 50) == .answerPing(value))
        }
        #expect(session.receiveSessionFrame(.ping(0), now: 50) == .breach(.pingFlood))
        #expect(session.receiveSessionFrame(.ping(0), now: 60) == .answerPing(0))
        #expect(session.receiveSessionFrame(.ping(0), now: 60) == .breach(.pingFlood))
        #expect(session.receiveSessionFrame(.ping(0), now: 100_000) == .answerPing(0))
    }

    @Test func aPingIsEitherAQuestionOrAnAnswer() {
        for flags: FrameFlags in [[], [.syn, .ack], .fin] {
            var session = opener()
            let header = FrameHeader(type: .ping, flags: flags, streamID: 0, length: 0)
            #expect(session.receiveSessionFrame(header, now: 0) == .breach(.unexpectedFlags))
        }
    }

    @Test func goAwayWithAnythingButNormalIsABreach() {
        var session = opener()
        #expect(session.receiveSessionFrame(.goAway(.protocolError), now: 0) == .breach(.goAwayProtocolError))
        #expect(session.receiveSessionFrame(.goAway(.internalError), now: 0) == .breach(.goAwayInternalError))
        let unknown = FrameHeader(type: .goAway, flags: [], streamID: 0, length: 3)
        #expect(session.receiveSessionFrame(unknown, now: 0) == .breach(.goAwayCode))
    }

    @Test func framesForStreamsThatHaveEndedAreDropped() {
        var session = opener()
        session.acknowledged(session.openStream())
        for header: FrameHeader in [.data(1, 9), .credit(1, .max), .credit(1, 0, .fin), .data(1, 0, .reset)] {
            #expect(session.receiveUnknownStream(header, now: 0) == .nothing)
        }
    }

    @Test func framesForStreamsThatNeverWereAreABreach() {
        var session = opener()
        _ = session.openStream()
        #expect(session.receiveUnknownStream(.data(3, 0), now: 0) == .breach(.streamUnknown))
        #expect(session.receiveUnknownStream(.credit(2, 0), now: 0) == .breach(.streamUnknown))
        #expect(session.receiveUnknownStream(.data(0, 1), now: 0) == .breach(.streamZero))
        #expect(session.receiveUnknownStream(.credit(0, 1, .syn), now: 0) == .breach(.streamZero))
        #expect(session.receiveUnknownStream(.credit(1, 0, .syn), now: 0) == .breach(.streamParity))
        #expect(session.receiveUnknownStream(.credit(5, 0, .syn), now: 0) == .breach(.streamParity))
    }

    @Test func noFrameIsLongerThanAnyWindow() {
        var session = opener()
        _ = session.openStream()
        let most = StreamState.maximumWindow
        #expect(session.receiveUnknownStream(.data(1, most), now: 0) == .nothing)
        #expect(session.receiveUnknownStream(.data(1, most + 1), now: 0) == .breach(.windowExceeded))
        #expect(session.receiveUnknownStream(.data(2, 262_145, .syn), now: 0) == .breach(.windowExceeded))
    }

    @Test func anOpenerRefusesStreamsAndDropsWhatFollowsOnThem() {
        var session = opener()
        #expect(session.receiveUnknownStream(.credit(6, 0, .syn), now: 0) == .refuseStream(6))
        #expect(session.receiveUnknownStream(.data(4, 5, .syn), now: 0) == .refuseStream(4), "ids come in any order")
        #expect(session.receiveUnknownStream(.data(4, 5), now: 0) == .nothing)
        #expect(session.receiveUnknownStream(.credit(6, 0, .fin), now: 0) == .nothing)
        #expect(session.receiveUnknownStream(.data(8, 5), now: 0) == .breach(.streamUnknown))
    }

    @Test func aFloodOfStreamsIsABreach() {
        var session = opener()
        var refused = 0
        for id in stride(from: UInt32(2), to: 400_002, by: 2) {
            let action = session.receiveUnknownStream(.credit(id, 0, .syn), now: 0)
            if action == .breach(.synFlood) { break }
            #expect(action == .refuseStream(id))
            refused += 1
        }
        #expect(refused == 1000)
    }

    @Test func anAcceptorAcceptsOddStreamsUntilItDrains() {
        var session = SessionState(role: .acceptor, limits: SessionLimits())
        #expect(session.receiveUnknownStream(.data(1, 5, .syn), now: 0) == .acceptStream(1))
        #expect(session.receiveUnknownStream(.credit(3, 0, .syn), now: 0) == .acceptStream(3))
        #expect(session.refuseStream(3, now: 0) == .refuseStream(3))
        #expect(session.receiveUnknownStream(.credit(2, 0, .syn), now: 0) == .breach(.streamParity))
        session.sendGoAway()
        #expect(session.receiveUnknownStream(.credit(5, 0, .syn), now: 0) == .refuseStream(5))
    }
}

@Suite struct SessionLivenessTests {
    @Test func silenceIsFollowedByAPingAndThenByTheEnd() {
        var session = opener(now: 100)
        #expect(session.livenessDueAt == 10_100 && session.nextLivenessStep(now: 10_099) == .nothing)
        guard case .sendPing = session.nextLivenessStep(now: 10_100) else {
            Issue.record("no ping")
            return
        }
        #expect(session.livenessDueAt == 20_100 && session.nextLivenessStep(now: 20_099) == .nothing)
        #expect(session.nextLivenessStep(now: 20_100) == .dead)
    }

    @Test func anyByteIsLife() {
        var session = opener()
        _ = session.nextLivenessStep(now: 10_000)
        session.noteReceived(now: 19_999)
        #expect(session.nextLivenessStep(now: 20_000) == .nothing && session.livenessDueAt == 29_999)
    }

    @Test func aProbeShortensTheTimeButNeverLengthensIt() {
        var session = opener()
        _ = session.probe(now: 1000, within: 2000)
        #expect(session.livenessDueAt == 3000)
        _ = session.probe(now: 2000, within: 2000)
        #expect(session.livenessDueAt == 3000 && session.nextLivenessStep(now: 2999) == .nothing)
        #expect(session.nextLivenessStep(now: 3000) == .dead)
        session.noteReceived(now: 3000)
        #expect(session.nextLivenessStep(now: 3000) == .nothing)
    }

    @Test func aPongAnswersEveryPingBeforeIt() {
        var session = opener()
        let values = (0..<3).map { _ in session.barrierPing() }
        #expect(values.allSatisfy { !session.isAnswered($0) })
        #expect(session.receiveSessionFrame(.pong(values[1]), now: 0) == .pong(values[1]))
        #expect(values.map { session.isAnswered($0) } == [true, true, false])
        #expect(session.receiveSessionFrame(.pong(values[0]), now: 0) == .nothing, "it came out of order")
        #expect(session.receiveSessionFrame(.pong(values[1]), now: 0) == .nothing)
        #expect(session.receiveSessionFrame(.pong(values[2] &+ 1), now: 0) == .nothing, "it was never asked")
        #expect(session.receiveSessionFrame(.pong(.max), now: 0) == .nothing)
        #expect(session.receiveSessionFrame(.pong(values[2]), now: 0) == .pong(values[2]))
        #expect(session.isAnswered(values[2]))
    }
}
