import Memory

extension Loop {
    static let timers: [Loop] = [reschedule, expireAll]

    private static let nodeCount = 100_000

    /// What a connection does that begins a request and ends it, among many that are idle.
    private static let reschedule = Loop("Memory: schedule and cancel a timer among 100 000") {
        var wheel = idleWheel()
        return { count in
            var numbers = Numbers(seed: 2)
            let nodes = (0..<64).map { _ in Int32(numbers.next(below: nodeCount)) }
            return reschedule(nodes, in: &wheel, count: count)
        }
    }

    private static func reschedule(_ nodes: [Int32], in wheel: inout TimerWheel, count: Int) -> Int {
        for index in 0..<count {
            let node = nodes[index & 63]
            wheel.cancel(node)
            wheel.schedule(node, at: 30_000 &+ UInt64(index & 1023))
        }
        return wheel.scheduledCount
    }

    /// All of them, within 75 seconds, each looked at every 16 ms.
    private static let expireAll = Loop("Memory: schedule 100 000 timers and let them expire", repetitions: 1) {
        // One for all times: its memory is never given back.
        var wheel = TimerWheel(capacity: nodeCount, now: 0)
        var now: UInt64 = 0
        return { count in
            var sum = 0
            for _ in 0..<count { sum &+= expireAll(&wheel, &now) }
            return sum
        }
    }

    private static func expireAll(_ wheel: inout TimerWheel, _ now: inout UInt64) -> Int {
        var sum = 0
        scheduleAll(in: &wheel, from: now)
        while wheel.scheduledCount > 0 {
            now &+= TimerWheel.tickMilliseconds
            wheel.advance(to: now)
            while wheel.nextExpired() >= 0 { sum &+= 1 }
        }
        return sum
    }

    private static func idleWheel() -> TimerWheel {
        var wheel = TimerWheel(capacity: nodeCount, now: 0)
        scheduleAll(in: &wheel, from: 0)
        return wheel
    }

    /// Neighbours are not due one after the other.
    private static func scheduleAll(in wheel: inout TimerWheel, from now: UInt64) {
        for node in 0..<nodeCount { wheel.schedule(Int32(node), at: now &+ UInt64(node &* 7919 % 75_000)) }
    }
}
