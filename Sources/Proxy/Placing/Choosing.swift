/// What the choice of a session goes by, beside the sessions themselves.
struct Choosing {
    private var random: UInt64
    /// The session that a choice of this turn has picked, and for which route; -1: none yet.
    private var recentSession = Int32(-1)
    private var recentRoute = UInt32.max

    init(seed: UInt64) { random = seed | 1 }

    @_noLocks
    mutating func beginTurn() { recentSession = -1 }

    @_noLocks
    mutating func note(_ session: Int32, forRoute route: UInt32) {
        assert(session >= 0, "somebody has been chosen")
        recentSession = session
        recentRoute = route
    }

    /// The session that a choice of this turn has picked for the route, or -1.
    @_noLocks
    func recent(forRoute route: UInt32) -> Int32 { recentRoute == route ? recentSession : -1 }

    /// Below `count`. xorshift64: which of two sessions is looked at needs no better.
    @_noLocks @inline(__always)
    mutating func any(of count: Int) -> Int {
        assert(count > 0, "somebody is there to be chosen")
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        // The upper bits are the better ones, and a product costs less than a remainder.
        return Int((random >> 32 &* UInt64(count)) >> 32)
    }
}
