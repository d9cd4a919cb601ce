/// How far away the other side of a session is, measured by pings: TCP knows only its next hop, and only of late.
///
/// The shortest time of late counts: a longer one has waited behind other bytes. Times are in microseconds.
@frozen public struct RoundTrip: Sendable, BitwiseCopyable {
    /// How often it is measured while there is a reason to.
    static var intervalMicroseconds: UInt64 { @_noLocks get { 1_000_000 } }
    /// For how long the shortest one counts.
    static var memoryMicroseconds: UInt64 { @_noLocks get { 10_000_000 } }

    /// 0: not known yet.
    public private(set) var microseconds: UInt32 = 0
    private var foundAt: UInt64 = 0
    /// The ping under way, and when it, or the last one, was sent.
    private var ping: UInt32 = 0
    private var isUnderWay = false
    private var sentAt: UInt64 = 0

    @inlinable @_noLocks public init() {}

    /// Whether a ping is due.
    @_noLocks
    public func isDue(now: UInt64) -> Bool {
        !isUnderWay && (microseconds == 0 || now - sentAt >= RoundTrip.intervalMicroseconds)
    }

    /// A ping has been sent that is meant for it.
    @_noLocks
    public mutating func sent(_ ping: UInt32, now: UInt64) {
        self.ping = ping
        isUnderWay = true
        sentAt = now
    }

    /// Pings have been answered; `state` knows which.
    @_noLocks
    public mutating func answered(_ state: SessionState, now: UInt64) {
        guard isUnderWay, state.isAnswered(ping) else { return }
        isUnderWay = false
        let taken = UInt32(clamping: max(1, now - sentAt))
        let isOld = microseconds == 0 || now - foundAt >= RoundTrip.memoryMicroseconds
        guard isOld || taken <= microseconds else { return }
        microseconds = taken
        foundAt = now
    }
}
