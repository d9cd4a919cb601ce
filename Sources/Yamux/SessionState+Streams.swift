/// Opening streams. A Go service keeps streams that it has not accepted in a queue of 256 and refuses what does not
/// fit, so no more than that may be unacknowledged.
extension SessionState {
    /// Whether a stream may be opened now, with `nextStreamID`. If not, and neither `isDraining` nor
    /// `awaitsPongForIDs`, some stream has to be acknowledged first, or `mayProbe` allows one.
    public var canOpenStream: Bool {
        @_noLocks get {
            !isDraining && unacknowledged < limits.unacknowledgedMaximum && !awaitsPongForIDs
        }
    }

    /// Streams that wait to be accepted, and that we have not given up.
    public var liveStreams: UInt32 { @_noLocks get { live } }

    /// Streams refused since the last one was acknowledged.
    public var refusalsInARow: UInt32 { @_noLocks get { refusals } }

    /// Streams that may lie in the other side's queue, aborted ones included.
    public var unacknowledged: UInt32 { @_noLocks get { live + aborted.count } }

    /// Takes `nextStreamID`, which must not be in use. The first frames of streams must go out in the order of their
    /// opening, because the acknowledgement of one is taken as proof that all before it have left the queue.
    @_noLocks
    public mutating func openStream() -> UInt32 {
        precondition(canOpenStream || (probeGranted && !isDraining && !awaitsPongForIDs), "no stream may be opened")
        if probeGranted {
            probePosition = ids.next
            probeGranted = false
        }
        live += 1
        return ids.take()
    }

    /// A stream has had its `StreamEvent.acknowledged`.
    @_noLocks
    public mutating func acknowledged(_ id: UInt32) {
        release(id)
        refusals = 0
        dequeue(through: id)
    }

    /// A stream has had its `StreamEvent.refused`: it never came into the queue. The result is a breach if there were
    /// too many in a row, else `none`; probes do not count.
    @discardableResult @_noLocks
    public mutating func refused(_ id: UInt32) -> Breach {
        release(id)
        guard ids.position(of: id) != probePosition else { return .none }
        refusals += 1
        return refusals < limits.refusalsMaximum ? .none : .refusalFlood
    }

    /// We have sent RST on a stream that was not acknowledged. It counts on until a stream opened later is. Includes
    /// `noteReset`.
    @_noLocks
    public mutating func aborted(_ id: UInt32) {
        release(id)
        aborted.add(ids.position(of: id), limit: limits.unacknowledgedMaximum)
        noteReset(id)
    }

    /// A stream was given up before its first frame went out, so that the other side will never know of it.
    @_noLocks
    public mutating func withdrawn(_ id: UInt32) {
        release(id)
    }

    /// A stream that we have aborted has had its `StreamEvent.acknowledgedLate`.
    @_noLocks
    public mutating func acknowledgedLate(_ id: UInt32) {
        precondition(isOpened(id), "a stream that was never opened")
        dequeue(through: id)
    }

    /// Whether one stream may be opened although the queue looks full, because all in it are aborted ones and only an
    /// acknowledgement could show that they are gone: one in every probe interval. Once allowed it stays so until
    /// `openStream`.
    @_noLocks
    public mutating func mayProbe(now: UInt64) -> Bool {
        guard !isDraining, !awaitsPongForIDs else { return false }
        if probeGranted { return true }
        guard live == 0, aborted.count >= limits.unacknowledgedMaximum, now >= probeDueAt else { return false }
        probeDueAt = now + UInt64(limits.probeIntervalMilliseconds)
        probeGranted = true
        return true
    }

    private mutating func release(_ id: UInt32) {
        assert(isOpened(id), "a stream that was never opened")
        precondition(live > 0, "a stream was reported twice")
        live -= 1
    }

    private func isOpened(_ id: UInt32) -> Bool {
        role.opens(id) && ids.haveBegun(id)
    }

    /// The stream of this id has left the other side's queue, and so have all that were opened before it. One whose id
    /// was found in use since proves nothing: when it was opened is not known any more.
    @_noLocks
    mutating func dequeue(through id: UInt32) {
        let position = ids.position(of: id)
        guard position > ids.lastPassedOver else { return }
        aborted.dequeue(through: position)
    }
}

/// Ids go round, so that a session never runs out of them. The caller knows which are in use; the session knows which
/// must rest, because something of their last stream may still be on its way.
extension SessionState {
    /// The id of the next stream, unless the caller has one of that id.
    public var nextStreamID: UInt32 { @_noLocks get { ids.nextID } }

    /// Whether `nextStreamID` may be in use. Before that there is no need to look.
    public var hasGoneRound: Bool { @_noLocks get { ids.haveGoneRound } }

    /// `nextStreamID` is in use: the one behind it is the next. Whoever has passed over more ids than it has streams
    /// has found none free. Ask `canOpenStream` after this, not before.
    @_noLocks
    public mutating func passOverStreamID() {
        ids.passOver()
    }

    /// RST goes out on a stream of ours, acknowledged or not, so its id has to rest: it comes again only after the
    /// answer to a ping sent later. May also be told of a stream that both sides have finished: the other one may have
    /// lost its patience with our FIN while that was on its way (hashicorp/yamux, `StreamCloseTimeout`).
    @_noLocks
    public mutating func noteReset(_ id: UInt32) {
        precondition(isOpened(id), "a stream that was never opened")
        ids.quarantine(id, ping: nextPing, oldestPing: oldestPing)
    }

    /// Whether `nextStreamID` may have to rest. No stream is opened until a ping has been answered: `pingForIDs`.
    public var awaitsPongForIDs: Bool {
        @_noLocks get {
            ids.isQuarantined(oldestPing: oldestPing)
        }
    }
}
