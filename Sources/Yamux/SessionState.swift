/// One session: ids, the count of streams not yet acknowledged, pings, GoAway and liveness. Plain words, no streams:
/// those belong to the caller, which finds them by id.
///
/// The caller reads the session's bytes with a `FrameReader` and tells `noteReceived` that there were some. Data and
/// window updates go to the `StreamState` of their id, or to `receiveUnknownStream` if there is none; pings and GoAway
/// go to `receiveSessionFrame`. It calls `nextLivenessStep` when `livenessDueAt` has come. Time is in milliseconds,
/// never runs backwards and is the caller's.
///
/// Every stream taken by `openStream` is later reported once: `acknowledged`, `refused`, `aborted` or `withdrawn`. The
/// ids go round, so a session never has to end for want of them: `hasGoneRound` says from when on the caller has to
/// look, before it opens a stream, whether it has one of that id.
@frozen public struct SessionState: Sendable {
    public let limits: SessionLimits
    /// When anything was last received.
    var lastReceived: UInt64
    /// Until when something must be received; `UInt64.max` if no ping of ours asks for it.
    var answerDueAt: UInt64
    /// Until when the ping that `awaitsPongForIDs` is about must be answered; `UInt64.max` if none is waited for.
    var idPongDueAt: UInt64
    /// When the next probe may be opened.
    var probeDueAt: UInt64
    var pings: RateAllowance
    var refusedStreams: RateAllowance
    var aborted: AbortedStreams
    /// Our ids, and those of the other side.
    var ids: StreamIDs
    var foreignIDs: ForeignIDs
    /// The position in `ids` of the last stream that was opened as a probe, 0 if none.
    var probePosition: UInt64
    /// The number of the next ping of ours, and of the oldest that is not answered. Their lower bits are the values.
    var nextPing: UInt64
    var oldestPing: UInt64
    /// Streams opened and not yet reported as one thing or another.
    var live: UInt32
    /// Streams refused since the last one was acknowledged.
    var refusals: UInt32
    public let role: Role
    /// Whether we have sent GoAway, and whether we have received one.
    public internal(set) var goAwaySent: Bool
    public internal(set) var goAwayReceived: Bool
    var probeGranted: Bool

    /// A session that has just begun at `now`. Its first stream gets `firstStreamID`, else the lowest id of its role.
    @_noLocks
    public init(role: Role, limits: SessionLimits, firstStreamID: UInt32? = nil, now: UInt64 = 0) {
        precondition(limits.unacknowledgedMaximum > 0 && limits.unacknowledgedMaximum <= 1 << 16)
        let firstID = firstStreamID ?? role.firstID
        precondition(role.opens(firstID), "the other side's ids begin there")
        self.limits = limits
        self.role = role
        lastReceived = now
        answerDueAt = .max
        idPongDueAt = .max
        probeDueAt = 0
        pings = RateAllowance()
        refusedStreams = RateAllowance()
        aborted = AbortedStreams()
        ids = StreamIDs(first: firstID, bits: limits.streamIDBits)
        foreignIDs = ForeignIDs()
        probePosition = 0
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
