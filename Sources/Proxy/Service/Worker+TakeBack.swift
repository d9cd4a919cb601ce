import Exchanges
import Memory
import Yamux

// Streams that a service has not accepted, and how they come back from it. A stream that we reset, and for which the
// answer to a ping sent behind the reset comes before any other frame of it, was never delivered. Services that accept
// nothing are slow: what waits in them goes to their siblings.
extension Worker {
    /// Takes back every stream that the session has not accepted: what may be executed twice at once, everything else
    /// when the service has shown that nothing of it was delivered.
    /// - Parameters:
    ///   - openedBefore: only those that were opened before that time.
    ///   - provesDelivery: also those for which the service's answer is needed.
    ///   - endsSpent: those that may not be sent again end with what their clients get then.
    @_noLocks
    mutating func takeBack(
        _ session: Int32, openedBefore time: UInt64, provesDelivery: Bool, endsSpent: Bool = false
    ) {
        // Rule 9 cannot be asserted here: a sibling of another reactor may say GoAway after the caller has looked.
        var barrier: UInt32?
        var stream = sessions[session].streams.all.first
        while stream >= 0 {
            let next = streamLinks.next(of: stream)
            if mayTakeBack(stream, openedBefore: time, endsSpent: endsSpent) {
                let connection = streams[stream].connection
                if isRepeatable(connection) {
                    count(.takenBack, connection)
                    loseExchange(connection, .takenBack, isUndelivered: false)
                } else if provesDelivery {
                    count(.takenBack, connection)
                    let value = barrier ?? sessions[session].state.barrierPing()
                    barrier = value
                    wait(for: value, stream)
                }
            }
            stream = next
        }
        if let barrier { writePing(barrier, session) }
    }

    /// The session has said GoAway. It may still accept what came before that, and its replies are used, until another
    /// session can take what it has not accepted, or until nobody would wait any longer.
    @_noLocks
    mutating func takeBackFromDraining(_ session: Int32) {
        assert(sessions[session].isDraining, "rule 9: only after GoAway")
        let end = sessions[session].draining.since + limits.hold
        sessions[session].draining.takeBackAt = .max
        guard sessions[session].state.liveStreams > 0 else { return }
        if hasWillingSibling(session) {
            takeBack(session, openedBefore: now, provesDelivery: true)
        } else if now >= end {
            endUnaccepted(session)
        } else {
            sessions[session].draining.takeBackAt = min(end, now + DataPlaneLimits.sessionTickMilliseconds)
        }
    }

    /// The snapshot is new, and may have a session that can take what others have not accepted.
    @_noLocks
    mutating func takeBackFromAllDraining() {
        guard drainingSessions > 0 else { return }
        for session in 0..<Int32(limits.sessions) {
            guard case .live = sessions[session].phase, sessions[session].isDraining else {
                continue
            }
            // Those that have just said so keep their moment.
            guard now >= sessions[session].draining.since + DataPlaneLimits.goAwayMilliseconds else { continue }
            takeBackFromDraining(session)
            scheduleTick(session)
        }
    }

    /// Nobody has come for what the session has not accepted, and its clients have waited for as long as those that are
    /// held. There is no time left for another attempt, so no proof is waited for.
    private mutating func endUnaccepted(_ session: Int32) {
        var stream = sessions[session].streams.all.first
        while stream >= 0 {
            let next = streamLinks.next(of: stream)
            let connection = streams[stream].connection
            let state = streams[stream].state
            if connection >= 0, !state.isAcknowledged, !streams[stream].isTakenBack {
                if isRepeatable(connection) {
                    abort(connection)
                    expireWait(connection)
                } else {
                    loseExchange(connection, .takenBack, isUndelivered: false)
                }
            }
            stream = next
        }
    }

    /// Not accepted, and nothing stands in the way of sending its exchange again if it was not delivered.
    private func mayTakeBack(_ stream: Int32, openedBefore time: UInt64, endsSpent: Bool) -> Bool {
        let connection = streams[stream].connection
        guard connection >= 0, streams[stream].openedAt <= time else { return false }
        switch obstacle(connection, isUndelivered: true) {
        case .none: break
        case .spent where endsSpent: break
        case .spent, .notKept, .mayHaveRun, .replyBegun: return false
        }
        let state = streams[stream].state
        return state.isAnnounced && !state.isAcknowledged && state.canSendReset && !state.finSent
    }

    /// The session has accepted nothing since the stream was opened, and somebody else could.
    @_noLocks
    func mayBeTakenBack(stream: Int32) -> Bool {
        assert(streams[stream].connection >= 0, "rule 23: what is taken back serves somebody")
        let session = streams[stream].session
        guard sessions[session].acceptance.last <= streams[stream].openedAt else { return false }
        return hasWillingSibling(session)
    }

    private func isRepeatable(_ connection: Int32) -> Bool {
        if case .relay = connections[connection].client.mode { return false }
        return exchanges[connection].state.isIdempotent
    }

    /// Resets the stream and keeps it until the service shows what it has seen of it.
    private mutating func wait(for barrier: UInt32, _ stream: Int32) {
        assert(!streams[stream].isTakenBack, "rule 23: a stream is taken back once")
        let session = streams[stream].session
        leaveSessionQueue(streams[stream].connection)
        streams[stream].state.sendReset()
        writeHeader(FrameHeader.reset(streams[stream].state.id), session, isControl: false)
        sessions[session].state.aborted(streams[stream].state.id)
        streams[stream].use = .takenBack
        streams[stream].barrier = barrier
        unusedLinks.append(stream, to: &sessions[session].streams.takenBack)
    }

    /// A ping of ours has been answered: whatever was taken back before it has never been delivered.
    @_noLocks
    mutating func barrierAnswered(_ session: Int32) {
        // Ids may have waited for it.
        if !sessions[session].waiters.openers.isEmpty { markDirty(session: session) }
        let ping = sessions[session].acceptance.ping
        if ping != 0, sessions[session].acceptance.pingAnsweredAt == 0, sessions[session].state.isAnswered(ping) {
            sessions[session].acceptance.pingAnswered(now: now)
        }
        while true {
            let stream = sessions[session].streams.takenBack.first
            guard stream >= 0, sessions[session].state.isAnswered(streams[stream].barrier) else { return }
            let connection = streams[stream].connection
            if connection >= 0 { loseExchange(connection, .takenBack, isUndelivered: true) } else { free(stream) }
        }
    }

    /// The service had accepted a stream that we took back: it may have seen all of it.
    @_noLocks
    mutating func takenBackTooLate(_ stream: Int32, _ session: Int32) {
        assert(streams[stream].isTakenBack, "rule 23: only what was taken back comes too late")
        sessions[session].state.acknowledgedLate(streams[stream].state.id)
        let connection = streams[stream].connection
        if connection >= 0 { loseExchange(connection, .takenBack, isUndelivered: false) } else { free(stream) }
    }

    /// Nothing of the stream has left the process.
    @_noLocks
    func isUnsent(_ stream: Int32) -> Bool {
        let session = streams[stream].session
        return !streams[stream].state.isAnnounced || streams[stream].firstByte >= sessions[session].egress.loaded
    }
}
