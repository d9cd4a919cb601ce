/// Pings of ours: is the other side alive, and what has it seen?
extension SessionState {
    /// Anything at all was received: the other side is alive.
    @_noLocks
    public mutating func noteReceived(now: UInt64) {
        lastReceived = max(lastReceived, now)
        answerDueAt = .max
    }

    /// When `nextLivenessStep` will have something to say, if nothing is received until then.
    public var livenessDueAt: UInt64 {
        @_noLocks get {
            min(idPongDueAt, answerDueAt != .max ? answerDueAt : lastReceived + UInt64(limits.pingIntervalMilliseconds))
        }
    }

    /// Asks by a ping after an interval of silence, and gives up when nothing at all came in time after that. Whoever
    /// does not answer the ping that the next stream waits for is given up too, whatever else it sends: for streams it
    /// is as good as dead.
    @_noLocks
    public mutating func nextLivenessStep(now: UInt64) -> LivenessStep {
        if !awaitsPongForIDs || nextPing <= ids.awaitedPing {
            idPongDueAt = .max
        } else if idPongDueAt == .max {
            idPongDueAt = now + UInt64(limits.pingTimeoutMilliseconds)
        } else if now >= idPongDueAt {
            return .dead
        }
        guard now >= livenessDueAt else { return .nothing }
        guard answerDueAt == .max else { return .dead }
        answerDueAt = now + UInt64(limits.pingTimeoutMilliseconds)
        return .sendPing(takePing())
    }

    /// Asks at once: returns the value of a ping to be sent, after which something must be received `within` so many
    /// milliseconds. For the moment when an equal registration arrives.
    @_noLocks
    public mutating func probe(now: UInt64, within milliseconds: UInt64) -> UInt32 {
        answerDueAt = min(answerDueAt, now + milliseconds)
        return takePing()
    }

    /// Returns the value of a ping to be sent behind the RST of streams that are taken back. If it is answered before
    /// any other frame of such a stream, nothing of the stream was delivered.
    @_noLocks
    public mutating func barrierPing() -> UInt32 {
        takePing()
    }

    /// Whether this ping of ours has been answered, or a later one: either way the other side has received all that was
    /// sent before it.
    @_noLocks
    public func isAnswered(_ value: UInt32) -> Bool {
        Int32(bitPattern: value &- UInt32(truncatingIfNeeded: oldestPing)) < 0
    }

    /// Returns the value of a ping to be sent while `awaitsPongForIDs`, or nil if the one that is waited for, or a
    /// later one, is under way.
    @_noLocks
    public mutating func pingForIDs() -> UInt32? {
        guard awaitsPongForIDs, nextPing <= ids.awaitedPing else { return nil }
        return takePing()
    }

    private mutating func takePing() -> UInt32 {
        defer { nextPing += 1 }
        return UInt32(truncatingIfNeeded: nextPing)
    }

    /// The answers may come in any order: Go services send each from a thread of its own. Ones that nobody waits for
    /// are dropped.
    @_noLocks
    mutating func receivePong(_ value: UInt32) -> SessionAction {
        let distance = UInt64(value &- UInt32(truncatingIfNeeded: oldestPing))
        guard distance < nextPing - oldestPing else { return .nothing }
        oldestPing += distance + 1
        idPongDueAt = .max
        return .pong(value)
    }
}
