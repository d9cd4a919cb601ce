/// One session: ids, the count of streams not yet acknowledged, pings, GoAway and liveness. Plain words, no streams:
/// those belong to the caller, which finds them by id.
///
/// The caller reads the session's bytes with a `FrameReader` and tells `noteReceived` that there were some. Data and
/// window updates go to the `StreamState` of their id, or to `receiveUnknownStream` if there is none; pings and GoAway
/// go to `receiveSessionFrame`. It calls `nextLivenessStep` when `livenessDueAt` has come. Time is in milliseconds,
/// never runs backwards and is the caller's.
///
/// Every stream taken by `openStream` is later reported once: `acknowledged`, `refused`, `aborted` or `withdrawn`.
@frozen public struct SessionState: Sendable {
    public let limits: SessionLimits
    /// When anything was last received.
    public internal(set) var lastReceived: UInt64
    /// Until when something must be received; `UInt64.max` if no ping of ours asks for it.
    var answerDueAt: UInt64
    /// When the next probe may be opened.
    var probeDueAt: UInt64
    var pings: RateAllowance
    var refusedStreams: RateAllowance
    var aborted: AbortedStreams
    /// The id that the next stream gets.
    var nextID: UInt32
    /// The highest id that the other side has opened, 0 if none.
    var highestForeignID: UInt32
    /// The last stream that was opened as a probe, 0 if none.
    var probeID: UInt32
    /// Streams opened and not yet reported as one thing or another.
    var live: UInt32
    /// Streams refused since the last one was acknowledged.
    var refusals: UInt32
    /// The value of the next ping of ours, and of the oldest that is not answered.
    var nextPing: UInt32
    var oldestPing: UInt32
    public let role: Role
    /// Whether we have sent GoAway, and whether we have received one.
    public internal(set) var goAwaySent: Bool
    public internal(set) var goAwayReceived: Bool
    var probeGranted: Bool

    /// A session that has just begun at `now`.
    @_noLocks
    public init(role: Role, limits: SessionLimits, now: UInt64 = 0) {
        precondition(limits.unacknowledgedMaximum > 0 && limits.unacknowledgedMaximum <= 1 << 16)
        precondition(limits.streamIDMaximum < 1 << 31, "ids must not run out before they are given up")
        self.limits = limits
        self.role = role
        lastReceived = now
        answerDueAt = .max
        probeDueAt = 0
        pings = RateAllowance()
        refusedStreams = RateAllowance()
        aborted = AbortedStreams()
        nextID = role.firstID
        highestForeignID = 0
        probeID = 0
        live = 0
        refusals = 0
        nextPing = 1
        oldestPing = 1
        goAwaySent = false
        goAwayReceived = false
        probeGranted = false
    }

    /// Whether either side has said that it wants no new streams.
    public var isDraining: Bool { @_noLocks get { goAwaySent || goAwayReceived } }

    /// Notes that GoAway goes out (`FrameHeader.goAway`): no streams are opened from now on, and those that the other
    /// side opens are refused. Once at most.
    @_noLocks
    public mutating func sendGoAway() {
        precondition(!goAwaySent, "GoAway twice")
        goAwaySent = true
    }
}
