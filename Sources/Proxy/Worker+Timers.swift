import HTTP1
import Memory
import Reactor
import Yamux

extension Worker {
    /// The connection is looked at then, or sooner if it is scheduled already.
    @_noLocks
    mutating func schedule(_ connection: Int32, at deadline: UInt64) {
        guard timers.deadline(of: connection) > deadline else { return }
        timers.schedule(connection, at: deadline)
    }

    /// How often a connection with nothing else to wait for is looked at. Deadlines that move with every request cost
    /// nothing that way: only the record is written, and the wheel finds out here.
    var pollingPeriod: UInt64 {
        @_noLocks get {
            guard !isDraining else { return DataPlaneLimits.drainPatienceMilliseconds }
            var shortest = min(limits.idleTimeout, min(limits.stallTimeout, limits.headTimeout))
            if limits.replyTimeout > 0 { shortest = min(shortest, limits.replyTimeout) }
            if limits.relayIdleTimeout > 0 { shortest = min(shortest, limits.relayIdleTimeout) }
            return min(5_000, max(50, shortest / 8))
        }
    }

    @_noLocks
    mutating func connectionExpired(_ connection: Int32) {
        guard !connections[connection].isClosing else { return }
        noteProgress(connection)
        guard !connections[connection].isHandingOver else { return handOverExpired(connection) }
        let deadline = deadline(of: connection)
        if now >= deadline {
            expire(connection)
            guard !connections[connection].isClosing, !timers.isScheduled(connection) else { return }
        }
        if case .relay = connections[connection].mode, !isWaiting(connection), !isWatched(connection) { return }
        timers.schedule(connection, at: min(max(deadline, now + 16), now + pollingPeriod))
    }

    /// A client that reads slowly makes no room in its socket's buffer for minutes: that it acknowledges is progress,
    /// too.
    @_noLocks
    mutating func noteProgress(_ connection: Int32) {
        let record = connections[connection]
        let isHTTP: Bool
        if case .http = record.mode { isHTTP = true } else { isHTTP = false }
        guard record.isSending || record.hasUnsent || isHTTP && record.finishSent else { return }
        let left = UInt16(clamping: (Sockets.unacknowledged(record.fd) + 1023) >> 10)
        guard left != record.unacknowledged else { return }
        connections[connection].unacknowledged = left
        if record.finishSent, isHTTP {
            connections[connection].phaseSince = now
        } else {
            connections[connection].lastProgress = now
        }
    }

    /// A hand-over waits for the client to take its replies, for as long as any reply would.
    private mutating func handOverExpired(_ connection: Int32) {
        let isStalled = now >= connections[connection].lastProgress + limits.stallTimeout
        if isStalled, connections[connection].isSending {
            books.bump(.resets)
            return close(connection, reset: true, counting: .resetStalledClient)
        }
        timers.schedule(connection, at: now + pollingPeriod)
    }

    /// When the connection's patience ends, as things are now.
    private func deadline(of connection: Int32) -> UInt64 {
        let record = connections[connection]
        if isDraining, let end = silenceEnd(record) { return end }
        if record.isShaking { return record.phaseSince + limits.handshakeTimeout }
        if isWaiting(connection) { return waitDeadline(connection) }
        switch record.mode {
        case .undecided: return record.phaseSince + DataPlaneLimits.sniffMilliseconds
        case .relay: return relayDeadline(connection)
        case .http: break
        }
        if record.isSending || record.hasUnsent { return record.lastProgress + limits.stallTimeout }
        switch record.request {
        case .discarded:
            // What lies in the socket's buffer is on its way; when it has arrived, the client has a moment to go.
            let hasAll = record.finishSent && record.unacknowledged == 0
            guard record.requestLeft > 0 || !record.finishSent else {
                return record.phaseSince + (hasAll ? 0 : DataPlaneLimits.closingMilliseconds)
            }
            return record.phaseSince + (hasAll ? DataPlaneLimits.closingMilliseconds : limits.stallTimeout)
        case .skipped: return record.phaseSince + limits.stallTimeout
        case .head:
            return record.isMidHead || !record.hasServed
                ? record.phaseSince + limits.headTimeout : record.phaseSince + limits.idleTimeout
        case .body: return bodyDeadline(connection)
        case .waiting, .finished: return replyDeadline(record)
        }
    }

    private func replyDeadline(_ record: Connection) -> UInt64 {
        if case .body = record.reply { return idleDeadline(record) }
        guard limits.replyTimeout > 0, case .head = record.reply else { return .max }
        return record.phaseSince + limits.replyTimeout
    }

    /// A body stands still only while nobody else has the next move. Who waits for 100 is kept waiting by the service;
    /// once the reply has begun both may be silent for as long as the two of them like.
    private func bodyDeadline(_ connection: Int32) -> UInt64 {
        let record = connections[connection]
        let stall = record.lastProgress + limits.stallTimeout
        guard !isWaitingForService(connection) else { return stall }
        if case .body = record.reply { return replyDeadline(record) }
        return record.expectsContinue ? replyDeadline(record) : stall
    }

    /// Bytes of the client wait that the service does not take.
    private func isWaitingForService(_ connection: Int32) -> Bool {
        !connections[connection].received.isEmpty || hasBulkWaiting(connection)
    }

    private func idleDeadline(_ record: Connection) -> UInt64 {
        limits.relayIdleTimeout > 0 ? record.lastProgress + limits.relayIdleTimeout : .max
    }

    // MARK: relays

    /// A relay of which nothing is to be watched needs no timer.
    private func isWatched(_ connection: Int32) -> Bool { limits.relayIdleTimeout > 0 || hasEndedDirection(connection) }

    private func hasEndedDirection(_ connection: Int32) -> Bool {
        guard case .open = connections[connection].clientEnd else { return true }
        let stream = connections[connection].stream
        return stream >= 0 && streams[stream].state.finReceived
    }

    /// While both directions are open, a relay may stand still for as long as its ends like. With one of them ended it
    /// may be silent, but bytes may not wait for ever for a side that takes none: nobody else would ever end it.
    private func relayDeadline(_ connection: Int32) -> UInt64 {
        let record = connections[connection]
        var deadline = idleDeadline(record)
        guard hasEndedDirection(connection) else { return deadline }
        if isRelayStuck(connection) { deadline = min(deadline, record.lastProgress + limits.stallTimeout) }
        let stream = record.stream
        guard record.clientFinished, stream >= 0, streams[stream].state.canSendFin else { return deadline }
        return min(deadline, record.phaseSince + DataPlaneLimits.finHoldMilliseconds)
    }

    /// Bytes wait that the side which they are for does not take.
    private func isRelayStuck(_ connection: Int32) -> Bool {
        connections[connection].hasUnsent || isWaitingForService(connection)
    }

    /// The relay has a timer from when one of its directions has ended, or always if it must not be idle for ever.
    @_noLocks
    mutating func watchRelay(_ connection: Int32) {
        guard isWatched(connection), !timers.isScheduled(connection) else { return }
        timers.schedule(connection, at: now + pollingPeriod)
    }

    private mutating func relayExpired(_ connection: Int32) {
        settle(connection)
        guard !connections[connection].isClosing, !connections[connection].isHandingOver else { return }
        if isRelayStuck(connection), hasEndedDirection(connection),
            now >= connections[connection].lastProgress + limits.stallTimeout
        {
            books.bump(.resets)
            close(connection, reset: true, counting: .resetStalledRelay)
        } else if now >= idleDeadline(connections[connection]) {
            endIdleRelay(connection)
        }
    }

    private mutating func endIdleRelay(_ connection: Int32) {
        books.bump(.idleRelays)
        close(connection, reset: connections[connection].hasUnsent, counting: .closedIdle)
    }

    /// Its patience has ended.
    private mutating func expire(_ connection: Int32) {
        if isWaiting(connection) { return expireWait(connection) }
        let record = connections[connection]
        if record.isShaking { return handshakeExpired(connection) }
        switch record.mode {
        case .undecided:
            return isDraining
                ? close(connection, reset: false, counting: .endedByDrain) : becomeRaw(connection)
        case .relay: return relayExpired(connection)
        case .http: break
        }
        if record.isSending || record.hasUnsent {
            books.bump(.resets)
            return close(connection, reset: true, counting: .resetStalledClient)
        }
        switch record.request {
        case .discarded: close(connection, reset: false, counting: nil)
        case .skipped: discard(connection)
        case .head:
            // Silence between requests is the end of the connection; silence within a head is told.
            if record.isMidHead || !record.received.isEmpty {
                refuseLateHead(connection)
            } else {
                close(connection, reset: false, counting: silence(record))
            }
        case .body: bodyExpired(connection)
        case .waiting, .finished: replyExpired(connection)
        }
    }

    /// What the silence of a client that has begun no request is called.
    private func silence(_ record: Connection) -> ListenerCounter {
        if isDraining { return .endedByDrain }
        return record.hasServed ? .endedIdle : .endedSilent
    }

    private mutating func bodyExpired(_ connection: Int32) {
        guard !isWaitingForService(connection) else { return giveUp(connection, .failedBodyNotTaken) }
        if case .body = connections[connection].reply { return replyExpired(connection) }
        giveUp(connection, connections[connection].expectsContinue ? .failedNoReply : .refusedLateBody)
    }

    /// The reply has not begun in time, or it has and nothing has moved since for too long.
    private mutating func replyExpired(_ connection: Int32) {
        guard case .body = connections[connection].reply else { return giveUp(connection, .failedNoReply) }
        books.bump(.idleRelays)
        leaveStream(connection)
        cut(connection, counting: .cutIdle)
    }

    /// Once a second at least: is the session alive, and do its unused streams end? Oftener if something was due.
    @_noLocks
    mutating func sessionExpired(_ session: Int32) {
        guard case .live = sessions[session].phase else { return }
        switch sessions[session].state.nextLivenessStep(now: now) {
        case .nothing: break
        case .sendPing(let value): writePing(value, session)
        case .dead: return loseSession(session, .silent)
        }
        if sessions[session].egress.isSending, now > sessions[session].egress.lastSent + limits.stallTimeout {
            return loseSession(session, .unresponsive)
        }
        endUnused(session)
        if sessions[session].draining.takeBackAt <= now { takeBackFromDraining(session) }
        watchAcceptance(session)
        raisePace(session)
        if !sessions[session].waiters.isEmpty { routeOpeners(session) }
        // Blocks may have become free elsewhere, or frames have waited long enough for others to go with.
        if !sessions[session].egress.ready.isEmpty || !sessions[session].egress.frames.isEmpty {
            markDirty(session: session)
        }
        scheduleTick(session)
    }

    /// The session is looked at in a second, or sooner if something is due; never later than it would have been anyway.
    @_noLocks
    mutating func scheduleTick(_ session: Int32) {
        guard case .live = sessions[session].phase else { return }
        var due = min(
            now + DataPlaneLimits.sessionTickMilliseconds, max(sessions[session].state.livenessDueAt, now + 16))
        due = min(due, sessions[session].draining.takeBackAt)
        if !sessions[session].waiters.openers.isEmpty {
            if limits.releaseRate > 0 { due = min(due, max(now + 1, sessions[session].pace.releaseDue / 1_000 + 1)) }
            if sessions[session].acceptance.refusedUntil > now {
                due = min(due, sessions[session].acceptance.refusedUntil)
            }
        }
        if !sessions[session].waiters.doubtful.isEmpty { due = min(due, now + DataPlaneLimits.doubtMilliseconds) }
        let node = Int32(limits.connections) + session
        if timers.deadline(of: node) > due { timers.schedule(node, at: due) }
    }

    private mutating func endUnused(_ session: Int32) {
        while true {
            let stream = sessions[session].streams.lingering.first
            guard stream >= 0, streams[stream].unusedSince + DataPlaneLimits.lingerMilliseconds <= now else { break }
            abandon(stream)
        }
        while true {
            let stream = sessions[session].streams.idle.first
            guard stream >= 0, streams[stream].unusedSince + DataPlaneLimits.lingerMilliseconds <= now else { break }
            retireIdle(stream)
        }
    }
}
