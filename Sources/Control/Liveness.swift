/// Whether reactors turn. Each is woken when somebody asks, and has five seconds to have taken a turn since.
struct Liveness {
    static let patienceMilliseconds: UInt64 = 5_000

    private struct Reactor {
        var turns: UInt64 = 0
        /// When it was woken, if it has not turned since.
        var wokenAt: UInt64?
    }

    private var reactors: [Reactor]

    init(reactors count: Int) {
        reactors = Array(repeating: Reactor(), count: count)
    }

    /// Takes down how many turns a reactor has taken, which is woken next.
    mutating func note(turns: UInt64, of reactor: Int, now: UInt64) {
        let hasTurned = turns != reactors[reactor].turns
        reactors[reactor].turns = turns
        if hasTurned { reactors[reactor].wokenAt = nil }
        if reactors[reactor].wokenAt == nil { reactors[reactor].wokenAt = now }
    }

    func isAlive(now: UInt64) -> Bool {
        reactors.allSatisfy { $0.wokenAt.map { now < $0 + Self.patienceMilliseconds } ?? true }
    }
}
