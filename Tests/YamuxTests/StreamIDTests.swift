import Testing
import Yamux

/// Ids of 6 bits unless `change` says otherwise: 32 of them.
private func session(
    _ role: Role = .opener, first: UInt32? = nil, _ change: (inout SessionLimits) -> Void = { _ in }
) -> SessionState {
    var limits = SessionLimits()
    limits.streamIDBits = 6
    change(&limits)
    return SessionState(role: role, limits: limits, firstStreamID: first)
}

extension SessionState {
    /// Opens so many streams, each of which is accepted at once.
    @discardableResult
    fileprivate mutating func open(_ count: Int) -> [UInt32] {
        (0..<count).map { _ in
            let id = openStream()
            acknowledged(id)
            return id
        }
    }

    fileprivate mutating func answer(_ ping: UInt32) {
        #expect(receiveSessionFrame(.pong(ping), now: 0) == .pong(ping))
    }
}

@Suite struct StreamIDTests {
    @Test func behindTheHighestIDComesTheFirst() {
        var opener = session()
        #expect(opener.open(70).map(Int.init) == (0..<70).map { 2 * $0 % 64 + 1 })
        var acceptor = session(.acceptor, first: 58)
        #expect(acceptor.open(6) == [58, 60, 62, 2, 4, 6], "0 is the session")
        var whole = session(first: .max - 2) { $0.streamIDBits = 32 }
        #expect(whole.open(4) == [.max - 2, .max, 1, 3] && !whole.hasGoneRound && whole.nextStreamID == 5)
    }

    /// Only from there on may an id be in use.
    @Test func idsHaveGoneRoundWhenTheFirstIsTheNext() {
        for first: UInt32 in [1, 3, 31, 33, 63] {
            var opener = session(first: first)
            for _ in 0..<32 {
                #expect(!opener.hasGoneRound)
                opener.open(1)
            }
            #expect(opener.hasGoneRound && opener.nextStreamID == first)
        }
    }

    @Test func idsInUseArePassedOver() {
        var opener = session(first: 61)
        opener.open(32)
        for _ in 0..<3 { opener.passOverStreamID() }
        #expect(opener.nextStreamID == 3 && opener.canOpenStream && opener.open(2) == [3, 5])
    }

    @Test func whoLeavesNoIDsOrForeignOnesTraps() async {
        await #expect(processExitsWith: .failure) {
            _ = SessionState(role: .opener, limits: SessionLimits(), firstStreamID: 2)
        }
        await #expect(processExitsWith: .failure) {
            var limits = SessionLimits()
            limits.streamIDBits = 6
            _ = SessionState(role: .opener, limits: limits, firstStreamID: 65)
        }
        await #expect(processExitsWith: .failure) {
            var limits = SessionLimits()
            limits.streamIDBits = 33
            _ = SessionState(role: .opener, limits: limits)
        }
        await #expect(processExitsWith: .failure) {
            var session = SessionState(role: .opener, limits: SessionLimits(), firstStreamID: 7)
            session.acknowledged(session.openStream())
            session.noteReset(9)
        }
    }
}

/// What came first is asked of openings, not of numbers.
@Suite struct StreamOrderTests {
    @Test(arguments: [6, 7, 31, 32] as [UInt8])
    func anAcknowledgementBehindTheBorderProvesThatThoseBeforeItAreGone(bits: UInt8) {
        let highest = UInt32.max >> (32 - UInt32(bits))
        var opener = session(first: highest - 2) { $0.streamIDBits = bits }
        let ids = (0..<4).map { _ in opener.openStream() }
        #expect(ids == [highest - 2, highest, 1, 3])
        for id in ids.prefix(3) { opener.aborted(id) }
        #expect(opener.unacknowledged == 4)
        opener.acknowledged(3)
        #expect(opener.unacknowledged == 0)
    }

    @Test func anAcknowledgementBeforeTheBorderProvesNothingOfThoseBehindIt() {
        var opener = session(first: .max) { $0.streamIDBits = 32 }
        let ids = (0..<3).map { _ in opener.openStream() }
        #expect(ids == [.max, 1, 3])
        opener.aborted(1)
        opener.acknowledged(.max)
        #expect(opener.unacknowledged == 2)
        #expect(opener.receiveUnknownStream(.data(.max, 1), now: 0) == .nothing && opener.unacknowledged == 2)
        opener.acknowledgedLate(1)
        #expect(opener.unacknowledged == 1)
    }

    /// Stream 1 is as old as a lap, and nobody knows by its id that it is: what was opened since is not gone.
    @Test func anAcknowledgementOfAnIDThatWasPassedOverProvesNothing() {
        var opener = session { $0.unacknowledgedMaximum = 3 }
        let old = opener.openStream()
        opener.open(31)
        let aborted = opener.openStream(passingOver: [old])
        opener.aborted(aborted)
        opener.acknowledged(old)
        #expect(aborted == 3 && opener.unacknowledged == 1)
        opener.open(1)
        #expect(opener.unacknowledged == 0)
    }

    @Test func aProbeIsKnownThoughItsIDComesAgain() {
        var opener = session {
            $0.unacknowledgedMaximum = 1
            $0.refusalsMaximum = 1
        }
        opener.aborted(opener.openStream())
        #expect(opener.mayProbe(now: 1000) == true)
        let probe = opener.openStream()
        #expect(opener.refused(probe) == .none, "probes do not count")
        #expect(opener.mayProbe(now: 2000) == true)
        opener.open(30)
        if let ping = opener.pingForIDs() { opener.answer(ping) }
        #expect(opener.nextStreamID == 1 && opener.canOpenStream)
        opener.open(1)
        let next = opener.openStream()
        #expect(next == probe && opener.refused(next) == .refusalFlood, "this one is no probe")
    }

    @Test func framesForIDsThatNeverWereAreABreachUntilAllHaveBeen() {
        var opener = session(first: 41)
        opener.open(14)
        #expect(opener.nextStreamID == 5)
        for id: UInt32 in [41, 63, 1, 3] { #expect(opener.receiveUnknownStream(.data(id, 0), now: 0) == .nothing) }
        for id: UInt32 in [5, 7, 39, 65, 105] {
            #expect(opener.receiveUnknownStream(.data(id, 0), now: 0) == .breach(.streamUnknown))
        }
        opener.open(18)
        for id in stride(from: UInt32(1), to: 64, by: 2) {
            #expect(opener.receiveUnknownStream(.data(id, 0), now: 0) == .nothing)
        }
        #expect(opener.receiveUnknownStream(.data(65, 0), now: 0) == .breach(.streamUnknown))
    }
}

extension SessionState {
    fileprivate mutating func openStream(passingOver ids: Set<UInt32>) -> UInt32 {
        while ids.contains(nextStreamID) { passOverStreamID() }
        return openStream()
    }
}

/// The other side's ids may begin anywhere, come a little out of order and go round.
@Suite struct ForeignIDTests {
    private func take(_ session: inout SessionState, _ id: UInt32) {
        #expect(session.receiveUnknownStream(.credit(id, 0, .syn), now: 0) == .acceptStream(id), "SYN of \(id)")
    }

    @Test func streamsAreAcceptedAcrossTheBorderAndTheirLateFramesDropped() {
        var acceptor = SessionState(role: .acceptor, limits: SessionLimits())
        let ids: [UInt32] = [.max - 2, 1, .max, 3, 7, 5]
        for id in ids { take(&acceptor, id) }
        for id in ids { #expect(acceptor.receiveUnknownStream(.data(id, 1), now: 0) == .nothing, "\(id)") }
        for id: UInt32 in [9, .max - 4, 1 << 31 + 1] {
            #expect(acceptor.receiveUnknownStream(.data(id, 1), now: 0) == .breach(.streamUnknown), "\(id)")
        }
    }

    @Test func afterARoundEveryIDMayHaveBeen() {
        var acceptor = SessionState(role: .acceptor, limits: SessionLimits())
        // In steps of a quarter, as if all between had been opened as well.
        for quarter: UInt32 in [0, 1, 2, 3] { take(&acceptor, quarter << 30 | 5) }
        #expect(acceptor.receiveUnknownStream(.data(3, 0), now: 0) == .breach(.streamUnknown))
        #expect(acceptor.receiveUnknownStream(.data(5, 0), now: 0) == .nothing, "it is nearly as old as a lap")
        take(&acceptor, 7)
        for id: UInt32 in [3, 5, 9] { #expect(acceptor.receiveUnknownStream(.data(id, 0), now: 0) == .nothing) }
        #expect(acceptor.receiveUnknownStream(.data(1 << 31 + 11, 0), now: 0) == .nothing)
    }

    @Test func idsAheadAreUnknownAndThoseALittleBehindAreNoRound() {
        var acceptor = SessionState(role: .acceptor, limits: SessionLimits())
        #expect(acceptor.receiveUnknownStream(.data(1, 0), now: 0) == .breach(.streamUnknown), "there was none")
        for id: UInt32 in [5, 1, 3] { take(&acceptor, id) }
        #expect(acceptor.receiveUnknownStream(.data(7, 0), now: 0) == .breach(.streamUnknown))
        #expect(acceptor.receiveUnknownStream(.data(.max, 0), now: 0) == .breach(.streamUnknown))
    }
}
