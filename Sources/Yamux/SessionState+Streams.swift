/// Opening streams. A Go service keeps streams that it has not accepted in a queue of 256 and refuses what does not
/// fit, so no more than that may be unacknowledged.
extension SessionState {
    /// Whether a stream may be opened now. If not, and neither `isDraining` nor `idsAreExhausted`, some stream has to
    /// be acknowledged first, or `mayProbe` allows one.
    public var canOpenStream: Bool {
        @_noLocks get {
            !isDraining && !idsAreExhausted && unacknowledged < limits.unacknowledgedMaximum
        }
    }

    /// Whether the session has used up its ids and must be replaced.
    public var idsAreExhausted: Bool { @_noLocks get { nextID > limits.streamIDMaximum } }

    /// Streams that wait to be accepted, and that we have not given up.
    public var liveStreams: UInt32 { @_noLocks get { live } }

    /// Streams refused since the last one was acknowledged.
    public var refusalsInARow: UInt32 { @_noLocks get { refusals } }

    /// Streams that may lie in the other side's queue, aborted ones included.
    public var unacknowledged: UInt32 { @_noLocks get { live + aborted.count } }

    /// Takes the next id. The first frames of streams must go out in the order of their ids, because the
    /// acknowledgement of one is taken as proof that all before it have left the queue.
    @_noLocks
    public mutating func openStream() -> UInt32 {
        precondition(canOpenStream || (probeGranted && !isDraining && !idsAreExhausted), "no stream may be opened")
        let id = nextID
        if probeGranted {
            probeID = id
            probeGranted = false
        }
        nextID += 2
        live += 1
        return id
    }

    /// A stream has had its `StreamEvent.acknowledged`.
    @_noLocks
    public mutating func acknowledged(_ id: UInt32) {
        release(id)
        refusals = 0
        aborted.dequeue(through: id)
    }

    /// A stream has had its `StreamEvent.refused`: it never came into the queue. The result is a breach if there were
    /// too many in a row, else `none`; probes do not count.
    @discardableResult @_noLocks
    public mutating func refused(_ id: UInt32) -> Breach {
        release(id)
        guard id != probeID else { return .none }
        refusals += 1
        return refusals < limits.refusalsMaximum ? .none : .refusalFlood
    }

    /// We have sent RST on a stream that was not acknowledged. It counts on until a stream of a higher id is.
    @_noLocks
    public mutating func aborted(_ id: UInt32) {
        release(id)
        aborted.add(id, limit: limits.unacknowledgedMaximum)
    }

    /// A stream was given up before its first frame went out, so that the other side will never know of it.
    @_noLocks
    public mutating func withdrawn(_ id: UInt32) {
        release(id)
    }

    /// A stream that we have aborted has had its `StreamEvent.acknowledgedLate`.
    @_noLocks
    public mutating func acknowledgedLate(_ id: UInt32) {
        precondition(isOwn(id) && id < nextID, "a stream that was never opened")
        aborted.dequeue(through: id)
    }

    /// Whether one stream may be opened although the queue looks full, because all in it are aborted ones and only an
    /// acknowledgement could show that they are gone: one in every probe interval. Once allowed it stays so until
    /// `openStream`.
    @_noLocks
    public mutating func mayProbe(now: UInt64) -> Bool {
        guard !isDraining, !idsAreExhausted else { return false }
        if probeGranted { return true }
        guard live == 0, aborted.count >= limits.unacknowledgedMaximum, now >= probeDueAt else { return false }
        probeDueAt = now + UInt64(limits.probeIntervalMilliseconds)
        probeGranted = true
        return true
    }

    @_noLocks
    private mutating func release(_ id: UInt32) {
        precondition(isOwn(id) && id < nextID, "a stream that was never opened")
        precondition(live > 0, "a stream was reported twice")
        live -= 1
    }

    /// Whether ids like this are given out by us.
    @_noLocks
    func isOwn(_ id: UInt32) -> Bool {
        id & 1 == role.firstID & 1
    }
}
