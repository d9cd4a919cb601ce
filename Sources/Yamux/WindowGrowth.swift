/// How large the window of a stream is that we receive on: it grows with a flow that it holds back, and becomes smaller
/// again where it is who takes the bytes that holds the flow back.
///
/// It doubles when half of it is used up within one and a half round trips and everything that had come was taken
/// meanwhile, because a window smaller than what fits on the way is what such a flow waits for; one that is given back
/// by halves is half used up in one at best. Too large a one only piles bytes up on our side; the owner says when they
/// do. Then what is taken is not given back until the window is half as large, and for a while it does not grow again.
/// If that still is too much, the owner says so once more.
@frozen public struct WindowGrowth: Sendable, BitwiseCopyable {
    /// Below this a round trip does not tell how long a peer takes that has to wake up first: windows on one machine
    /// are worth growing (measured: one flow 1.4 times as fast).
    static var shortestRoundTrip: UInt64 { @_noLocks get { 100 } }
    /// For how long a window that was too large does not grow so far again, in microseconds.
    static var ceilingMicroseconds: UInt64 { @_noLocks get { 10_000_000 } }
    /// Less is not worth a change.
    static var smallestGrowth: UInt32 { @_noLocks get { StreamState.initialWindow / 4 } }

    /// How much has been taken since when, in microseconds: how fast the window is used up. 0: nothing has been yet.
    private var since: UInt64 = 0
    private var used: UInt32 = 0
    /// Whether in that time there was a moment when nothing waited.
    private var wasDry = false
    /// The window becomes smaller until it has the size of the ceiling.
    private var isShrinking = false
    private var ceiling = StreamState.maximumWindow
    private var ceilingAt: UInt64 = 0

    /// What taken bytes have led to.
    @frozen public struct Credit: Sendable {
        /// To be announced; 0: nothing now.
        public var bytes: UInt32 = 0
        /// By how much the window has become larger, and smaller.
        public var growth: UInt32 = 0
        public var reduction: UInt32 = 0

        @inlinable @_noLocks init() {}
    }

    @inlinable @_noLocks public init() {}

    /// Who takes the stream's bytes has taken some of them.
    /// - Parameters:
    ///   - isDry: whether that was all that had come.
    ///   - room: by how much the window may grow.
    ///   - mayAnnounce: whether credit may be given. What is withheld is given with the next that may.
    @_noLocks
    public mutating func taken(
        _ count: UInt32, of state: inout StreamState, isDry: Bool, roundTrip: RoundTrip, room: Int, mayAnnounce: Bool,
        now: UInt64
    ) -> Credit {
        var credit = Credit()
        _ = state.consumed(count, mayAnnounce: false)
        used = used > .max - count ? .max : used + count
        if isDry { wasDry = true }
        if isShrinking {
            credit.reduction = state.shrink(to: ceiling)
            // From now on it is given back: the other side may have used up all that it had.
            isShrinking = state.windowSize > ceiling
            ceilingAt = now
        }
        credit.bytes = state.consumed(0, mayAnnounce: mayAnnounce)
        guard credit.bytes > 0 else { return credit }
        if since == 0 { return begin(now, credit) }
        guard used >= state.windowSize / 2 else { return credit }
        let wanted = wantedGrowth(state, roundTrip, room, now)
        if wanted > 0 {
            credit.growth = state.grow(by: wanted)
            credit.bytes += credit.growth
        }
        return begin(now, credit)
    }

    private mutating func begin(_ now: UInt64, _ credit: Credit) -> Credit {
        since = now
        used = 0
        wasDry = false
        return credit
    }

    private mutating func wantedGrowth(
        _ state: StreamState, _ roundTrip: RoundTrip, _ room: Int, _ now: UInt64
    ) -> UInt32 {
        guard wasDry, roundTrip.microseconds > 0 else { return 0 }
        let near = max(UInt64(roundTrip.microseconds), WindowGrowth.shortestRoundTrip)
        guard now - since < near + near / 2 else { return 0 }
        if now - ceilingAt >= WindowGrowth.ceilingMicroseconds { ceiling = StreamState.maximumWindow }
        guard state.windowSize < ceiling else { return 0 }
        let wanted = min(state.windowSize, UInt32(clamping: max(0, room)))
        return wanted >= WindowGrowth.smallestGrowth ? wanted : 0
    }

    /// More has come than is taken: bytes pile up. What is still on its way of a larger window does not count.
    @_noLocks
    public mutating func pileUp(_ state: StreamState, roundTrip: RoundTrip, now: UInt64) {
        guard !isShrinking, state.receiveWindowGrowth > 0 else { return }
        guard now - ceilingAt >= 2 * UInt64(roundTrip.microseconds) else { return }
        isShrinking = true
        ceiling = max(StreamState.initialWindow, state.windowSize / 2)
        ceilingAt = now
    }
}
