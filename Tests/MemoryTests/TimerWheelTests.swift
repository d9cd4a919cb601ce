import Memory
import Testing

private let tick = TimerWheel.tickMilliseconds

extension TimerWheel {
    /// Moves the wheel and takes all that is due.
    mutating func expired(at now: UInt64) -> [Int32] {
        advance(to: now)
        var nodes: [Int32] = []
        while true {
            let node = nextExpired()
            guard node >= 0 else { return nodes }
            nodes.append(node)
        }
    }
}

@Test func `an empty wheel never expires and waits for ever`() {
    var wheel = TimerWheel(capacity: 4, now: 12_345)
    #expect(wheel.millisecondsToNext(from: 12_345) == -1)
    #expect(wheel.expired(at: 1 << 50) == [])
    #expect(wheel.scheduledCount == 0)
}

@Test func `a node expires at the first tick at or after its deadline, and once`() {
    for start in [UInt64(0), 5, 16, 1_000_000_007] {
        for delay in UInt64(1)..<100 {
            var wheel = TimerWheel(capacity: 1, now: start)
            wheel.schedule(0, at: start + delay)
            #expect(wheel.isScheduled(0) && wheel.scheduledCount == 1)
            let due = (start + delay + tick - 1) / tick * tick
            #expect(wheel.deadline(of: 0) == max(due, (start / tick + 1) * tick))
            #expect(wheel.expired(at: due - 1) == [])
            #expect(wheel.expired(at: max(due, (start / tick + 1) * tick)) == [0])
            #expect(!wheel.isScheduled(0) && wheel.deadline(of: 0) == .max && wheel.scheduledCount == 0)
            #expect(wheel.expired(at: due + 1_000_000) == [])
        }
    }
}

@Test func `a deadline in the past expires at the next tick`() {
    var wheel = TimerWheel(capacity: 2, now: 100_000)
    wheel.schedule(0, at: 5)
    wheel.schedule(1, at: 0)
    #expect(wheel.expired(at: 100_000) == [])
    #expect(wheel.expired(at: 100_000 + tick) == [0, 1])
}

@Test func `a node that is scheduled anew keeps the last deadline alone`() {
    var wheel = TimerWheel(capacity: 1, now: 0)
    wheel.schedule(0, at: 1_000)
    wheel.schedule(0, at: 50_000)
    #expect(wheel.scheduledCount == 1)
    #expect(wheel.expired(at: 49_999) == [])
    wheel.schedule(0, at: 51_000)
    wheel.schedule(0, at: 50_100)
    #expect(wheel.expired(at: 50_112) == [0])
    #expect(wheel.expired(at: 60_000) == [])
}

@Test func `a canceled node does not expire, and canceling twice does nothing`() {
    var wheel = TimerWheel(capacity: 3, now: 0)
    for node in Int32(0)..<3 { wheel.schedule(node, at: 100) }
    wheel.cancel(1)
    wheel.cancel(1)
    #expect(wheel.scheduledCount == 2)
    #expect(wheel.expired(at: 1_000) == [0, 2])
    wheel.cancel(0)
    #expect(wheel.scheduledCount == 0)
}

/// Whoever handles an expired node may close others that have expired in the same turn.
@Test func `between two expired nodes others can be canceled and scheduled`() {
    var wheel = TimerWheel(capacity: 4, now: 0)
    for node in Int32(0)..<4 { wheel.schedule(node, at: 100) }
    wheel.advance(to: 200)
    #expect(wheel.isScheduled(3) && wheel.scheduledCount == 4)
    let first = wheel.nextExpired()
    #expect(first == 0)
    wheel.cancel(1)
    wheel.schedule(2, at: 300)
    wheel.schedule(0, at: 150)
    #expect(wheel.nextExpired() == 3)
    #expect(wheel.nextExpired() == -1)
    #expect(wheel.scheduledCount == 2)
    #expect(wheel.expired(at: 299) == [0])
    #expect(wheel.expired(at: 304) == [2])
}

@Test func `nodes expire in the order of their ticks`() {
    var wheel = TimerWheel(capacity: 300, now: 0)
    for node in Int32(0)..<300 { wheel.schedule(node, at: UInt64(300 - node) * 997) }
    #expect(wheel.expired(at: 300 * 1_000) == (Int32(0)..<300).reversed())
}

/// At the borders of each level's reach, from every place in a turn that matters.
@Test func `each level is exact at its edges`() {
    for startTick in [UInt64(0), 1, 62, 63, 64, 65, 4_094, 4_095, 4_096, 262_143, 262_144] {
        for reach in [UInt64(64), 4_096, 262_144] {
            for distance in [reach - 2, reach - 1, reach, reach + 1, reach + 63, reach + 64] {
                var wheel = TimerWheel(capacity: 1, now: startTick * tick)
                let deadline = (startTick + distance) * tick
                wheel.schedule(0, at: deadline)
                #expect(wheel.expired(at: deadline - 1) == [], "from \(startTick), \(distance) ticks")
                #expect(wheel.expired(at: deadline) == [0], "from \(startTick), \(distance) ticks")
            }
        }
    }
}

/// The wheel turns 2^24 ticks; what is due later goes round again.
@Test func `deadlines beyond the wheel's reach are kept to the tick`() {
    let reach: UInt64 = 1 << 24
    var wheel = TimerWheel(capacity: 4, now: 40 * tick)
    let deadlines = [reach - 1, reach, reach + 40, reach + 300_000].map { ($0 + 40) * tick }
    for (node, deadline) in deadlines.enumerated() { wheel.schedule(Int32(node), at: deadline) }
    for (node, deadline) in deadlines.enumerated() {
        #expect(wheel.expired(at: deadline - 1) == [])
        #expect(wheel.expired(at: deadline) == [Int32(node)])
    }
}

@Test func `a deadline at the end of time is none that comes, and can be canceled`() {
    var wheel = TimerWheel(capacity: 2, now: 1_000)
    wheel.schedule(0, at: .max)
    wheel.schedule(1, at: .max - 20)
    #expect(wheel.deadline(of: 0) == .max)
    #expect(wheel.expired(at: 3_600_000) == [])
    let wait = wheel.millisecondsToNext(from: 3_600_000)
    #expect(wait > 0 && wait <= 1_040)
    wheel.cancel(0)
    wheel.cancel(1)
    #expect(wheel.millisecondsToNext(from: 3_600_000) == -1)
}

@Test func `time that stands still or goes back changes nothing`() {
    var wheel = TimerWheel(capacity: 1, now: 10_000)
    wheel.schedule(0, at: 10_100)
    #expect(wheel.expired(at: 10_000) == [])
    #expect(wheel.expired(at: 3) == [])
    #expect(wheel.expired(at: 10_111) == [])
    #expect(wheel.expired(at: 10_112) == [0])
}

@Test func `with something expired and not yet taken there is nothing to wait for`() {
    var wheel = TimerWheel(capacity: 2, now: 0)
    wheel.schedule(0, at: 100)
    wheel.schedule(1, at: 5_000)
    wheel.advance(to: 200)
    #expect(wheel.millisecondsToNext(from: 200) == 0)
    #expect(wheel.nextExpired() == 0)
    #expect(wheel.millisecondsToNext(from: 200) > 0)
}

@Test func `a node outside the wheel traps`() async {
    await #expect(processExitsWith: .failure) {
        var wheel = TimerWheel(capacity: 2, now: 0)
        wheel.schedule(2, at: 5)
    }
    await #expect(processExitsWith: .failure) {
        var wheel = TimerWheel(capacity: 2, now: 0)
        wheel.cancel(-1)
    }
}
