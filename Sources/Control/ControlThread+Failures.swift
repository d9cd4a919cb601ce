internal import Logging
internal import Memory
internal import Proxy

// What clients saw of services that failed. Reactors count and ring; a second's failures make one line a listener.
extension ControlThread {
    private static let failureMilliseconds: UInt64 = 1_000

    /// Reactors have news, and failures may be among them: they are told of when the second is over.
    func noteFailures() {
        guard failuresDueAt == nil, plane.sum(.failed) != failuresTold else { return }
        failuresDueAt = now + Self.failureMilliseconds
    }

    func tellFailures() {
        guard let due = failuresDueAt, due <= now else { return }
        failuresDueAt = nil
        failuresTold = plane.sum(.failed)
        for (slot, listener) in registry.listeners.open {
            let current = FailureFigures(plane, slot)
            // The figures of a listener begin at 0 with it.
            let before = failureFigures[slot].flatMap { $0.generation == listener.generation ? $0.figures : nil }
            failureFigures[slot] = (listener.generation, current)
            guard let sentence = current.sentence(since: before ?? FailureFigures()) else { continue }
            log.warning("failed on \(listener.address): \(sentence)")
        }
    }
}

/// The figures of a listener that tell of failures.
struct FailureFigures: Equatable {
    private var counts = [UInt64](repeating: 0, count: Self.clauses.count)

    /// Each figure with what it counts.
    private static let clauses: [(counter: ListenerCounter, one: String, many: String)] = [
        (
            .failedMayHaveRun, "request got 502, it may have been executed and must not be twice",
            "requests got 502, they may have been executed and must not be twice"
        ),
        (
            .failedNotKept, "request got 502, it was too large to be kept for another attempt",
            "requests got 502, they were too large to be kept for another attempt"
        ),
        (
            .failedSpent, "request got 502, all attempts or the time for them were spent",
            "requests got 502, all attempts or the time for them were spent"
        ),
        (.failedBroken, "request got 502, the reply was invalid", "requests got 502, the replies were invalid"),
        (
            .failedTooLarge, "request got 502, the reply's head was too large",
            "requests got 502, the replies' heads were too large"
        ),
        (
            .failedTooManyFields, "request got 502, the reply had too many fields",
            "requests got 502, the replies had too many fields"
        ),
        (
            .failedNotHTTP, "request got 502, the reply did not begin as HTTP does",
            "requests got 502, the replies did not begin as HTTP does"
        ),
        (
            .failedBadFields, "request got 502, a field of the reply was invalid",
            "requests got 502, fields of the replies were invalid"
        ),
        (
            .failedBadFraming, "request got 502, the reply's length could be understood in two ways",
            "requests got 502, the replies' lengths could be understood in two ways"
        ),
        (
            .failedUnaskedSwitch, "request got 502, the reply was a 101 that nobody had asked for",
            "requests got 502, the replies were 101s that nobody had asked for"
        ),
        (
            .cutBrokenChunks, "reply was cut, its chunks were invalid", "replies were cut, their chunks were invalid"
        ),
        (
            .cut, "connection ended in the middle of a reply or a relay",
            "connections ended in the middle of a reply or a relay"
        ),
    ]

    init() {}

    init(_ plane: Plane, _ slot: Int) {
        counts = Self.clauses.map { plane.sum($0.counter, ofListener: slot) }
    }

    /// Nil: nothing has failed since then.
    func sentence(since before: FailureFigures) -> String? {
        var parts: [String] = []
        for (place, clause) in Self.clauses.enumerated() {
            // A reactor that opens the listener anew may not have come to it yet.
            let count = counts[place] - min(counts[place], before.counts[place])
            if count > 0 { parts.append("\(count) \(count == 1 ? clause.one : clause.many)") }
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }
}
