import Testing
import TestSupport
import Yamux

private let initial = Int(StreamState.initialWindow)

/// One flow in virtual time: a service that always has more to say, a link, our end of the stream, and a client who
/// takes what has come at his own pace.
private struct Flow {
    /// One way, in microseconds, and what the link carries, in bytes a microsecond.
    var delay: UInt64
    var bandwidth = 1_250
    /// What the client takes in a microsecond; and what may wait for him before it is a pile.
    var pace: Int
    var pile = 576 << 10
    /// By how much all windows of a reactor may be larger than at first.
    var room = 64 << 20
    var mayAnnounce = true

    private(set) var stream = StreamState(id: 1)
    private(set) var growth = WindowGrowth()
    private(set) var roundTrip = RoundTrip()
    private var session = SessionState(role: .opener, limits: SessionLimits())
    /// Since 1 s has passed, because 0 means never.
    private(set) var now: UInt64 = 1_000_000
    private(set) var taken = 0
    private(set) var waiting = 0
    private(set) var mostWaiting = 0
    /// By the sum of what was told.
    private(set) var extra = 0
    private var serviceRoom = initial
    private var toUs: [(at: UInt64, bytes: Int)] = []
    private var toService: [(at: UInt64, credit: UInt32)] = []
    private var pongs: [(at: UInt64, value: UInt32)] = []
    private let step: UInt64 = 100

    init(delay: UInt64, pace: Int) {
        self.delay = delay
        self.pace = pace
        _ = stream.flagsForNextFrame()
    }

    /// All that may still be said, whoever has it.
    var size: Int { initial + Int(stream.receiveWindowGrowth) }

    mutating func run(microseconds: UInt64) {
        let end = now + microseconds
        while now < end { turn() }
    }

    private mutating func turn() {
        now += step
        while let first = toService.first, first.at <= now {
            serviceRoom += Int(first.credit)
            toService.removeFirst()
        }
        while let first = pongs.first, first.at <= now {
            _ = session.receiveSessionFrame(.pong(first.value), now: now / 1_000)
            roundTrip.answered(session, now: now)
            pongs.removeFirst()
        }
        let said = min(serviceRoom, bandwidth * Int(step))
        if said > 0 {
            serviceRoom -= said
            toUs.append((now + delay, said))
        }
        while let first = toUs.first, first.at <= now {
            let event = stream.receive(.data(1, UInt32(first.bytes)))
            #expect(event.breach == .none, "the service was told that it may")
            waiting += first.bytes
            toUs.removeFirst()
        }
        mostWaiting = max(mostWaiting, waiting)
        if waiting > pile { growth.pileUp(stream, roundTrip: roundTrip, now: now) }
        take()
    }

    private mutating func take() {
        let count = min(waiting, pace * Int(step))
        guard count > 0 else { return }
        waiting -= count
        taken += count
        // As in a reactor: who takes all there is always gets credit.
        let isFlowing = waiting == 0
        let credit = growth.taken(
            UInt32(count), of: &stream, isDry: isFlowing, roundTrip: roundTrip, room: room - extra,
            mayAnnounce: isFlowing || mayAnnounce, now: now)
        extra += Int(credit.growth) - Int(credit.reduction)
        #expect(extra == Int(stream.receiveWindowGrowth) && extra >= 0 && extra <= room)
        guard credit.bytes > 0 else { return }
        toService.append((now + delay, credit.bytes))
        guard roundTrip.isDue(now: now) else { return }
        let ping = session.barrierPing()
        roundTrip.sent(ping, now: now)
        pongs.append((now + 2 * delay, ping))
    }
}

@Suite struct WindowGrowthTests {
    /// 1 Gbit/s with 25 ms each way; 256 KiB a round trip would be 4 % of it.
    @Test func aDistantServiceIsNotHeldToItsFirstWindow() {
        for (delay, bandwidth) in [(25_000 as UInt64, 125), (5_000, 600), (100_000, 30), (500, 1_250)] {
            var flow = Flow(delay: delay, pace: 100_000)
            flow.bandwidth = bandwidth
            flow.run(microseconds: 3_000_000)
            let before = flow.taken
            flow.run(microseconds: 1_000_000)
            #expect(Double(flow.taken - before) >= 0.8 * Double(bandwidth) * 1_000_000, "\(delay) us")
            #expect(flow.mostWaiting <= flow.size)
        }
    }

    /// Half of it is used up so fast as long as it is smaller than three times what is under way.
    @Test func aWindowGrowsNoFurtherThanTheLinkNeeds() {
        var flow = Flow(delay: 1_000, pace: 100_000)
        flow.bandwidth = 100
        flow.run(microseconds: 5_000_000)
        #expect(flow.size <= 6 * 200_000, "200 KB are under way at most")
    }

    @Test func theBoundIsWhatAllMayHave() {
        for room in [0, 50 << 10, 300 << 10, 5 << 20] {
            var flow = Flow(delay: 25_000, pace: 100_000)
            flow.room = room
            flow.run(microseconds: 3_000_000)
            #expect(flow.extra <= room && (room < initial / 4) == (flow.extra == 0))
        }
        var flow = Flow(delay: 200_000, pace: 100_000)
        flow.run(microseconds: 20_000_000)
        #expect(flow.size == Int(StreamState.maximumWindow))
    }

    /// A client that has been quick becomes slow: what lies here for him goes back to what everybody has.
    @Test func aPileIsTakenDownAndNothingStands() {
        for pace in [1, 3, 20, 100] {
            var flow = Flow(delay: 25_000, pace: 100_000)
            flow.bandwidth = 125
            flow.run(microseconds: 3_000_000)
            #expect(flow.size > 4 << 20)
            flow.pace = pace
            flow.run(microseconds: 30_000_000)
            #expect(flow.waiting <= flow.pile + initial, "pace \(pace)")
            let before = flow.taken
            flow.run(microseconds: 2_000_000)
            // Were nothing to wait for it, a bound on what waits would cost it nothing.
            #expect(flow.taken - before >= pace * 1_500_000, "the client is busy three quarters of the time")
        }
    }

    /// After a pile the window comes to half of that size at once, and beyond it only when the pile is forgotten.
    @Test func whatWasTooLargeIsNotTriedAgainSoon() {
        var flow = Flow(delay: 25_000, pace: 100_000)
        flow.run(microseconds: 1_000_000)
        let before = flow.size
        flow.pace = 2
        flow.run(microseconds: 1_000_000)
        let pileAt = flow.now
        flow.pace = 100_000
        flow.run(microseconds: 7_000_000)
        #expect(flow.size < before)
        flow.run(microseconds: 12_000_000 - (flow.now - pileAt))
        #expect(flow.size >= before)
    }

    /// Clients that stop and go, the process at its limit and not, piles of any size: never a byte too many, never a
    /// flow that stands although its client takes.
    @Test(arguments: 0..<200) func everyFlowGoesOn(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        var flow = Flow(delay: UInt64(generator.number(0...50_000)), pace: 0)
        flow.bandwidth = generator.number(1...2_000)
        flow.room = generator.number(0...(20 << 20))
        flow.pile = generator.number(1...(1 << 20))
        for _ in 0..<40 {
            flow.pace = [0, 1, 10, 100, 1_000, 100_000][generator.number(0...5)]
            flow.mayAnnounce = !generator.oneIn(4)
            flow.run(microseconds: UInt64(generator.number(1...200_000)))
        }
        flow.pace = 100_000
        flow.mayAnnounce = true
        flow.run(microseconds: 2 * flow.delay + 100_000)
        let before = flow.taken
        flow.run(microseconds: 4 * flow.delay + 100_000)
        #expect(flow.taken > before, "nothing moves any more")
    }

    @Test func theShortestRoundTripOfLateCounts() {
        var session = SessionState(role: .opener, limits: SessionLimits())
        var roundTrip = RoundTrip()
        func measure(at time: UInt64, taking microseconds: UInt64) {
            #expect(roundTrip.isDue(now: time))
            let ping = session.barrierPing()
            roundTrip.sent(ping, now: time)
            #expect(!roundTrip.isDue(now: time + 100_000_000), "one at a time")
            // Nobody has answered yet.
            roundTrip.answered(session, now: time)
            _ = session.receiveSessionFrame(.pong(ping), now: 0)
            roundTrip.answered(session, now: time + microseconds)
        }
        measure(at: 1_000_000, taking: 700)
        #expect(roundTrip.microseconds == 700 && !roundTrip.isDue(now: 1_999_999))
        measure(at: 2_000_000, taking: 900)
        #expect(roundTrip.microseconds == 700)
        measure(at: 3_000_000, taking: 500)
        #expect(roundTrip.microseconds == 500)
        measure(at: 13_100_000, taking: 40_000)
        #expect(roundTrip.microseconds == 40_000, "the shorter one is forgotten")
        measure(at: 15_000_000, taking: 0)
        #expect(roundTrip.microseconds == 1, "0 would mean that it is not known")
        measure(at: 30_000_000, taking: 1 << 40)
        #expect(roundTrip.microseconds == .max)
    }
}
