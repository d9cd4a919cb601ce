/// What a session allows itself and the other side. Times are milliseconds.
@frozen public struct SessionLimits: Sendable {
    /// Streams opened and not acknowledged. 256 is the length of the queue in which a Go service keeps them.
    public var unacknowledgedMaximum: UInt32 = 256
    /// The bits of the ids that are opened, 6 to 32: behind the highest id comes the first one again.
    public var streamIDBits: UInt8 = 32
    /// Streams refused in a row, with none acknowledged between them, that end the session.
    public var refusalsMaximum: UInt32 = 1_000
    /// How long nobody may be heard of before a ping asks.
    public var pingIntervalMilliseconds: UInt32 = 10_000
    /// How long after that ping still nothing may have come.
    public var pingTimeoutMilliseconds: UInt32 = 10_000
    /// The pause between two streams that try whether a service accepts again (`SessionState.mayProbe`).
    public var probeIntervalMilliseconds: UInt32 = 1_000
    /// Pings that are answered in a burst, and then one for each interval.
    public var pingBurst: UInt32 = 1_000
    public var pingCostMilliseconds: UInt32 = 10
    /// Unwanted streams that are refused in a burst, and then one for each interval.
    public var refusalBurst: UInt32 = 1_000
    public var refusalCostMilliseconds: UInt32 = 10

    @inlinable @_noLocks
    public init() {}
}

/// A bound on how often something may happen: a burst, then a steady pace. One word of state: the time up to which the
/// allowance is spent.
@frozen @usableFromInline struct RateAllowance: Sendable {
    @usableFromInline var spentUntil: UInt64 = 0

    @inlinable @_noLocks
    init() {}

    /// Whether it may happen once more at `now`; what happens costs `cost` ms, and `burst` of them may lie ahead.
    @_noLocks
    mutating func take(now: UInt64, burst: UInt32, cost: UInt32) -> Bool {
        let start = max(spentUntil, now)
        guard start - now < UInt64(burst) * UInt64(cost) else { return false }
        spentUntil = start + UInt64(cost)
        return true
    }
}
