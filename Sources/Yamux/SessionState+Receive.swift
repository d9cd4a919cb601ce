extension SessionState {
    /// Takes a ping or a GoAway.
    @_noLocks
    public mutating func receiveSessionFrame(_ header: FrameHeader, now: UInt64) -> SessionAction {
        switch header.type {
        case .ping: receivePing(header, now: now)
        case .goAway: receiveGoAway(header)
        case .data, .windowUpdate: preconditionFailure("a frame of a stream, not of the session")
        }
    }

    private mutating func receivePing(_ header: FrameHeader, now: UInt64) -> SessionAction {
        let isQuestion = header.flags.contains(.syn)
        guard isQuestion != header.flags.contains(.ack) else { return .breach(.unexpectedFlags) }
        guard isQuestion else { return receivePong(header.length) }
        guard pings.take(now: now, burst: limits.pingBurst, cost: limits.pingCostMilliseconds) else {
            return .breach(.pingFlood)
        }
        return .answerPing(header.length)
    }

    private mutating func receiveGoAway(_ header: FrameHeader) -> SessionAction {
        switch header.length {
        case 0:
            guard !goAwayReceived else { return .nothing }
            goAwayReceived = true
            return .drain
        case 1: return .breach(.goAwayProtocolError)
        case 2: return .breach(.goAwayInternalError)
        default: return .breach(.goAwayCode)
        }
    }

    /// Takes a data or window update header for an id of which the caller has no stream. Frames for streams that have
    /// ended are dropped: they were on their way when the stream ended.
    @_noLocks
    public mutating func receiveUnknownStream(_ header: FrameHeader, now: UInt64) -> SessionAction {
        guard header.streamID != 0 else { return .breach(.streamZero) }
        if header.type == .data, header.length > StreamState.maximumWindow {
            return .breach(.windowExceeded)
        }
        return role.opens(header.streamID) ? receiveOwn(header) : receiveForeign(header, now: now)
    }

    private mutating func receiveOwn(_ header: FrameHeader) -> SessionAction {
        guard !header.flags.contains(.syn) else { return .breach(.streamParity) }
        guard ids.haveBegun(header.streamID) else { return .breach(.streamUnknown) }
        if !header.flags.contains(.reset) {
            // It was accepted, whatever became of it since: what was aborted before it has left the queue.
            dequeue(through: header.streamID)
        }
        return .nothing
    }

    private mutating func receiveForeign(_ header: FrameHeader, now: UInt64) -> SessionAction {
        guard header.flags.contains(.syn) else {
            return foreignIDs.haveBegun(header.streamID) ? .nothing : .breach(.streamUnknown)
        }
        foreignIDs.open(header.streamID)
        if header.type == .data, header.length > StreamState.initialWindow {
            return .breach(.windowExceeded)
        }
        if role.isAcceptor, !goAwaySent {
            return .acceptStream(header.streamID)
        }
        return refuseStream(header.streamID, now: now)
    }

    /// Refuses a stream that the other side has opened, in answer to `SessionAction.acceptStream`: `refuseStream`, or a
    /// breach if there were too many of them.
    @_noLocks
    public mutating func refuseStream(_ id: UInt32, now: UInt64) -> SessionAction {
        precondition(!role.opens(id), "only the other side's streams are refused")
        let isAllowed = refusedStreams.take(now: now, burst: limits.refusalBurst, cost: limits.refusalCostMilliseconds)
        return isAllowed ? .refuseStream(id) : .breach(.synFlood)
    }
}
