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
        var deadline = deadline(of: connection)
        // What lies in the kernel is said: its receive has found no buffer, or is told of in the next turn.
        if case .silence = deadline.end, now >= deadline.time, Sockets.hasBytes(connections[connection].client.fd) {
            deadline = self.deadline(of: connection, hasSpoken: true)
        }
        if now >= deadline.time {
            expire(connection, deadline.end)
            guard !connections[connection].isClosing, !timers.isScheduled(connection) else { return }
        }
        if case .relay = connections[connection].client.mode, !isWaiting(connection), !isWatched(connection) { return }
        timers.schedule(connection, at: min(max(deadline.time, now + 16), now + pollingPeriod))
    }

    /// A client that reads slowly makes no room in its socket's buffer for minutes: that it acknowledges is progress,
    /// too.
    @_noLocks
    mutating func noteProgress(_ connection: Int32) {
        let record = connections[connection]
        let isHTTP: Bool
        if case .http = record.client.mode { isHTTP = true } else { isHTTP = false }
        guard record.isSending || record.hasUnsent || isHTTP && record.finishSent else { return }
        let left = UInt16(clamping: (Sockets.unacknowledged(record.client.fd) + 1023) >> 10)
        guard left != record.unacknowledged else { return }
        connections[connection].unacknowledged = left
        if record.finishSent, isHTTP {
            exchanges[connection].past.phaseSince = now
        } else {
            exchanges[connection].lastProgress = now
        }
    }

    /// A hand-over waits for the client to take its replies, for as long as any reply would.
    private mutating func handOverExpired(_ connection: Int32) {
        let isStalled = now >= exchanges[connection].lastProgress + limits.stallTimeout
        if isStalled, connections[connection].isSending {
            return resetForStall(connection, counting: .resetStalledClient)
        }
        timers.schedule(connection, at: now + pollingPeriod)
    }

    /// When the connection's patience ends, and for what, as things are now.
    /// - Parameter hasSpoken: its bytes wait in the kernel, so that it is not silent.
    private func deadline(of connection: Int32, hasSpoken: Bool = false) -> Deadline {
        let record = connections[connection]
        if isDraining, !hasSpoken, let end = silenceEnd(connection) { return Deadline(end, .silence) }
        if record.isShaking {
            return Deadline(exchanges[connection].past.phaseSince + limits.handshakeTimeout, .handshake)
        }
        if isWaiting(connection) { return Deadline(waitDeadline(connection), .wait) }
        switch record.client.mode {
        case .undecided:
            return Deadline(exchanges[connection].past.phaseSince + DataPlaneLimits.sniffMilliseconds, .sniffing)
        case .relay: return relayDeadline(connection)
        case .http: break
        }
        if record.isSending || record.hasUnsent {
            return Deadline(exchanges[connection].lastProgress + limits.stallTimeout, .unsentBytes)
        }
        switch exchanges[connection].request {
        case .discarded: return Deadline(exchanges[connection].past.phaseSince + farewell(connection), .farewell)
        case .skipped: return Deadline(exchanges[connection].past.phaseSince + limits.stallTimeout, .restOfBody)
        case .head:
            let patience = record.isMidHead || !record.client.hasServed ? limits.headTimeout : limits.idleTimeout
            let hasBegun = record.isMidHead || !record.received.isEmpty
            return Deadline(exchanges[connection].past.phaseSince + patience, hasBegun ? .head : .nextRequest)
        case .body: return bodyDeadline(connection)
        case .waiting, .finished: return replyDeadline(connection)
        }
    }

    /// For how long a client that has had its last reply may take to go: what lies in the socket's buffer is on its
    /// way; when it has arrived, there is a moment left.
    private func farewell(_ connection: Int32) -> UInt64 {
        let record = connections[connection]
        let hasAll = record.finishSent && record.unacknowledged == 0
        guard exchanges[connection].requestLeft > 0 || !record.finishSent else {
            return hasAll ? 0 : DataPlaneLimits.closingMilliseconds
        }
        return hasAll ? DataPlaneLimits.closingMilliseconds : limits.stallTimeout
    }

    private func replyDeadline(_ connection: Int32) -> Deadline {
        if case .body = exchanges[connection].reply { return Deadline(idleEnd(connection), .restOfReply) }
        guard limits.replyTimeout > 0, case .head = exchanges[connection].reply else { return .never }
        return Deadline(exchanges[connection].past.phaseSince + limits.replyTimeout, .reply)
    }

    /// A body stands still only while nobody else has the next move. Who waits for 100 is kept waiting by the service;
    /// once the reply has begun both may be silent for as long as the two of them like.
    private func bodyDeadline(_ connection: Int32) -> Deadline {
        let stall = exchanges[connection].lastProgress + limits.stallTimeout
        guard !isWaitingForService(connection) else { return Deadline(stall, .bodyNotTaken) }
        if case .body = exchanges[connection].reply { return replyDeadline(connection) }
        return exchanges[connection].expectsContinue ? replyDeadline(connection) : Deadline(stall, .body)
    }

    /// Bytes of the client wait that the service does not take.
    private func isWaitingForService(_ connection: Int32) -> Bool {
        !connections[connection].received.isEmpty || hasBulkWaiting(connection)
    }

    /// With `--relay-idle-timeout`.
    private func idleEnd(_ connection: Int32) -> UInt64 {
        limits.relayIdleTimeout > 0 ? exchanges[connection].lastProgress + limits.relayIdleTimeout : .max
    }

    // MARK: relays

    /// A relay of which nothing is to be watched needs no timer.
    private func isWatched(_ connection: Int32) -> Bool { limits.relayIdleTimeout > 0 || hasEndedDirection(connection) }

    private func hasEndedDirection(_ connection: Int32) -> Bool {
        guard case .open = connections[connection].client.end else { return true }
        if case .open = serviceEnd(connection) { return false }
        return true
    }

    /// While both directions are open, a relay may stand still for as long as its ends like. With one of them ended it
    /// may be silent, but bytes may not wait for ever for a side that takes none: nobody else would ever end it.
    private func relayDeadline(_ connection: Int32) -> Deadline {
        let record = connections[connection]
        var deadline = Deadline(idleEnd(connection), .relay)
        guard hasEndedDirection(connection) else { return deadline }
        if isRelayStuck(connection) {
            deadline = deadline.sooner(
                Deadline(exchanges[connection].lastProgress + limits.stallTimeout, .relayedBytes))
        }
        // Its end comes behind its bytes: while those wait, nobody can pass it on.
        guard record.clientFinished, canFinish(connection), !isWaitingForService(connection) else { return deadline }
        return deadline.sooner(
            Deadline(exchanges[connection].past.phaseSince + DataPlaneLimits.finHoldMilliseconds, .acceptance))
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

    // MARK: what comes then

    /// The connection's patience has ended.
    private mutating func expire(_ connection: Int32, _ wait: Awaited) {
        switch wait {
        case .nothing: break
        case .silence: endSilent(connection)
        case .handshake: handshakeExpired(connection)
        case .wait: expireWait(connection)
        case .sniffing:
            isDraining ? close(connection, reset: false, counting: .endedByDrain) : becomeRaw(connection)
        case .relay:
            books.bump(.idleRelays)
            close(connection, reset: connections[connection].hasUnsent, counting: .closedIdle)
        case .relayedBytes: resetForStall(connection, counting: .resetStalledRelay)
        case .acceptance: settle(connection)
        case .unsentBytes: resetForStall(connection, counting: .resetStalledClient)
        case .farewell: close(connection, reset: false, counting: nil)
        case .restOfBody: discard(connection)
        // Silence between requests is the end of the connection; silence within a head is told.
        case .head: refuseLateHead(connection)
        case .nextRequest: endIdle(connection)
        case .body: giveUp(connection, .refusedLateBody)
        case .bodyNotTaken: giveUp(connection, .failedBodyNotTaken)
        case .reply: giveUp(connection, .failedNoReply)
        case .restOfReply:
            books.bump(.idleRelays)
            abort(connection)
            cut(connection, counting: .cutIdle)
        }
    }

    private mutating func resetForStall(_ connection: Int32, counting why: ListenerCounter) {
        books.bump(.resets)
        close(connection, reset: true, counting: why)
    }

    /// The client has begun no request.
    private mutating func endIdle(_ connection: Int32) {
        let why: ListenerCounter = connections[connection].client.hasServed ? .endedIdle : .endedSilent
        close(connection, reset: false, counting: isDraining ? .endedByDrain : why)
    }

    /// The proxy ends, and nobody would miss the client.
    private mutating func endSilent(_ connection: Int32) {
        if connections[connection].isShaking { return handshakeExpired(connection) }
        // Somebody has been promised that the connection goes on.
        if case .skipped = exchanges[connection].request { return discard(connection) }
        close(connection, reset: false, counting: .endedByDrain)
    }
}
