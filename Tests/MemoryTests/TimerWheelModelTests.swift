import Memory
import Testing
import TestSupport

/// The wheel beside a table of deadlines, in virtual time.
private struct Schedule: ~Copyable {
    let seed: UInt64
    let nodes: Int32
    /// Bits of the longest delay and of the longest step.
    let delayBits: Int
    let stepBits: Int
    var random: SeededGenerator
    var now: UInt64
    var wheel: TimerWheel
    /// The tick at which each scheduled node must expire.
    var due: [Int32: UInt64] = [:]
    var expirations = 0

    init(seed: UInt64, delayBits: Int, stepBits: Int) {
        self.seed = seed
        self.delayBits = delayBits
        self.stepBits = stepBits
        random = SeededGenerator(seed: seed)
        nodes = Int32.random(in: 1...60, using: &random)
        now = random.magnitude(bits: 42)
        wheel = TimerWheel(capacity: Int(nodes), now: now)
    }

    private var tick: UInt64 { TimerWheel.tickMilliseconds }

    mutating func run(steps: Int) {
        for _ in 0..<steps {
            for _ in 0..<Int.random(in: 0...6, using: &random) { change() }
            advance()
            checkWait()
            #expect(wheel.scheduledCount == due.count, "seed \(seed) at \(now)")
        }
        finish()
    }

    /// Schedules or cancels a node, whatever it was doing.
    private mutating func change() {
        let node = Int32.random(in: 0..<nodes, using: &random)
        if Int.random(in: 0..<4, using: &random) == 0 {
            wheel.cancel(node)
            due[node] = nil
        } else {
            schedule(node, after: random.magnitude(bits: delayBits))
        }
        #expect(wheel.isScheduled(node) == (due[node] != nil), "seed \(seed) at \(now)")
    }

    private mutating func schedule(_ node: Int32, after delay: UInt64) {
        // Sometimes in the past.
        let isLate = Int.random(in: 0..<20, using: &random) == 0
        let deadline = isLate ? now - min(now, delay) : now + delay
        wheel.schedule(node, at: deadline)
        // Never early; the tick after the last one that was looked at, if that is later.
        due[node] = max((deadline + tick - 1) / tick, now / tick + 1)
    }

    private mutating func advance() {
        // As a reactor does: it sleeps until the wheel says, or is woken before, or overslept.
        let wait = wheel.millisecondsToNext(from: now)
        switch Int.random(in: 0..<4, using: &random) {
        case 0 where wait > 0: now += UInt64(wait)
        case 1 where wait > 1: now += UInt64.random(in: 0..<UInt64(wait), using: &random)
        default: now += random.magnitude(bits: stepBits)
        }
        wheel.advance(to: now)
        take()
    }

    /// Takes what has expired; some of it is scheduled again and others are touched in between.
    private mutating func take() {
        var last: UInt64 = 0
        while true {
            let node = wheel.nextExpired()
            guard node >= 0 else { break }
            let promised = due.removeValue(forKey: node)
            #expect(promised != nil, "seed \(seed) at \(now): node \(node) was not scheduled")
            #expect((promised ?? 0) * tick <= now, "seed \(seed) at \(now): node \(node) is early")
            #expect((promised ?? 0) >= last, "seed \(seed) at \(now): node \(node) out of order")
            last = promised ?? last
            expirations += 1
            if Bool.random(using: &random) { schedule(node, after: random.magnitude(bits: delayBits)) }
            if Int.random(in: 0..<3, using: &random) == 0 { change() }
        }
        for (node, promised) in due where promised * tick <= now {
            Issue.record("seed \(seed) at \(now): node \(node) was due at \(promised * tick)")
        }
    }

    /// Whoever sleeps that long is never late, and never wakes up for nothing more than once a turn.
    private func checkWait() {
        let wait = wheel.millisecondsToNext(from: now)
        guard let first = due.values.min() else {
            #expect(wait == -1, "seed \(seed) at \(now)")
            return
        }
        // Exact up to the turn of the first level, where those further away are looked at again.
        let turn = ((now / tick + 1) | 63) + 1
        #expect(now + UInt64(wait) == min(first, turn) * tick, "seed \(seed) at \(now): waits \(wait)")
    }

    /// What is left expires if nothing but the wheel says when to look.
    private mutating func finish() {
        var looks = 0
        while !due.isEmpty, looks < 4_000 {
            now += UInt64(wheel.millisecondsToNext(from: now))
            wheel.advance(to: now)
            while true {
                let node = wheel.nextExpired()
                guard node >= 0 else { break }
                #expect(due.removeValue(forKey: node) == now / tick, "seed \(seed) at \(now): not at its tick")
            }
            looks += 1
        }
        for node in 0..<nodes where due[node] != nil { wheel.cancel(node) }
        #expect(wheel.scheduledCount == 0 && wheel.millisecondsToNext(from: now) == -1, "seed \(seed)")
    }
}

@Test func `the wheel keeps every schedule within its first levels`() {
    for seed in 1...(60 * effort) {
        var schedule = Schedule(seed: seed, delayBits: 16, stepBits: 12)
        schedule.run(steps: 400)
        #expect(schedule.expirations > 50, "seed \(seed) tested nothing")
    }
}

@Test func `the wheel keeps every schedule over all of its levels`() {
    for seed in 1_000..<(1_000 + 10 * effort) {
        var schedule = Schedule(seed: seed, delayBits: 28, stepBits: 22)
        schedule.run(steps: 100)
        #expect(schedule.expirations > 10, "seed \(seed) tested nothing")
    }
}

@Test func `the wheel keeps every schedule beyond its reach`() {
    for seed in 2_000..<(2_000 + 2 * effort) {
        var schedule = Schedule(seed: seed, delayBits: 30, stepBits: 27)
        schedule.run(steps: 12)
    }
}
