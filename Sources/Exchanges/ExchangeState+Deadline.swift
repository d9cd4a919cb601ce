// When patience ends, and for what. One function decides it, for all phases and both halves.
extension ExchangeState {
    /// When patience ends, and for what, as things are now.
    @_noLocks @inlinable
    public func deadline(_ situation: Situation, _ timeouts: borrowing Timeouts) -> Deadline {
        if situation.silenceEnd < .max { return Deadline(situation.silenceEnd, .silence) }
        if situation.isShaking { return Deadline(past.phaseSince + timeouts.handshake, .handshake) }
        if situation.waitEnd > 0 { return Deadline(situation.waitEnd, .wait) }
        switch situation.mode {
        case .undecided: return Deadline(past.phaseSince + Timeouts.sniff, .sniffing)
        case .relay: return relayDeadline(situation, timeouts)
        case .http: break
        }
        if situation.hasUnsent { return Deadline(lastProgress + timeouts.stall, .unsentBytes) }
        switch request {
        case .discarded: return Deadline(past.phaseSince + farewell(situation, timeouts), .farewell)
        case .skipped: return Deadline(past.phaseSince + timeouts.stall, .restOfBody)
        case .head:
            let isBeginning = situation.isMidHead || !situation.hasServed
            let hasBegun = situation.isMidHead || situation.hasBytes
            return Deadline(
                past.phaseSince + (isBeginning ? timeouts.head : timeouts.idle), hasBegun ? .head : .nextRequest)
        case .body: return bodyDeadline(situation, timeouts)
        case .waiting, .finished: return replyDeadline(timeouts)
        }
    }

    /// For how long a client that has had its last reply may take to go: what lies in the socket's buffer is on its
    /// way; when it has arrived, there is a moment left.
    @_noLocks @inlinable
    func farewell(_ situation: Situation, _ timeouts: borrowing Timeouts) -> UInt64 {
        let hasAll = situation.finishSent && situation.hasAcknowledged
        guard requestLeft > 0 || !situation.finishSent else { return hasAll ? 0 : Timeouts.closing }
        return hasAll ? Timeouts.closing : timeouts.stall
    }

    @_noLocks @inlinable
    func replyDeadline(_ timeouts: borrowing Timeouts) -> Deadline {
        if hasBegunReply { return Deadline(idleEnd(timeouts), .restOfReply) }
        guard timeouts.reply > 0, awaitsReply else { return .never }
        return Deadline(max(past.phaseSince, lastProgress) + timeouts.reply, .reply)
    }

    /// A body stands still only while nobody else has the next move. Who waits for 100 is kept waiting by the service;
    /// once the reply has begun both may be silent for as long as the two of them like.
    @_noLocks @inlinable
    func bodyDeadline(_ situation: Situation, _ timeouts: borrowing Timeouts) -> Deadline {
        let stall = lastProgress + timeouts.stall
        guard !situation.waitsForService else { return Deadline(stall, .bodyNotTaken) }
        return hasBegunReply || expectsContinue ? replyDeadline(timeouts) : Deadline(stall, .body)
    }

    @_noLocks @inlinable
    func idleEnd(_ timeouts: borrowing Timeouts) -> UInt64 {
        timeouts.relayIdle > 0 ? lastProgress + timeouts.relayIdle : .max
    }

    /// While both directions are open, a relay may stand still for as long as its ends like. With one of them ended it
    /// may be silent, but bytes may not wait for ever for a side that takes none: nobody else would ever end it.
    @_noLocks @inlinable
    func relayDeadline(_ situation: Situation, _ timeouts: borrowing Timeouts) -> Deadline {
        var deadline = Deadline(idleEnd(timeouts), .relay)
        guard situation.hasEndedDirection else { return deadline }
        if situation.hasUnsent || situation.waitsForService {
            deadline = deadline.sooner(Deadline(lastProgress + timeouts.stall, .relayedBytes))
        }
        guard situation.endWaits else { return deadline }
        return deadline.sooner(Deadline(endHeldUntil, .acceptance))
    }

    /// Until when the client's end waits for the service to accept what came before it.
    @inlinable public var endHeldUntil: UInt64 { @_noLocks get { past.phaseSince + Timeouts.finHold } }
}

extension Situation {
    /// Bytes of the client wait that the service does not take.
    @inlinable var waitsForService: Bool { @_noLocks get { hasBytes || hasBulk } }
}
