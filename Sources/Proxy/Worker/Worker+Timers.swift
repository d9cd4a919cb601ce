import Exchanges
import Memory
import Reactor
import Yamux

extension Worker {
    /// The connection, or the timer of a session, is looked at then, or sooner if it is scheduled already.
    @_noLocks
    mutating func schedule(_ timer: Int32, at deadline: UInt64) {
        guard timers.deadline(of: timer) > deadline else { return }
        timers.schedule(timer, at: deadline)
    }

    /// Behind those of connections, which have their index.
    @_noLocks
    func timer(ofSession session: Int32) -> Int32 { Int32(limits.connections) + session }

    /// How often a connection with nothing else to wait for is looked at. Deadlines that move with every request cost
    /// nothing that way: only the record is written, and the wheel finds out here.
    var pollingPeriod: UInt64 {
        @_noLocks get {
            guard !isDraining else { return DataPlaneLimits.drainPatienceMilliseconds }
            var shortest = min(limits.timeouts.idle, min(limits.timeouts.stall, limits.timeouts.head))
            if limits.timeouts.reply > 0 { shortest = min(shortest, limits.timeouts.reply) }
            if limits.timeouts.relayIdle > 0 { shortest = min(shortest, limits.timeouts.relayIdle) }
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
            exchanges[connection].state.past.phaseSince = now
        } else {
            exchanges[connection].state.lastProgress = now
        }
    }

    /// A hand-over waits for the client to take its replies, for as long as any reply would.
    private mutating func handOverExpired(_ connection: Int32) {
        let isStalled = now >= exchanges[connection].state.lastProgress + limits.timeouts.stall
        if isStalled, connections[connection].isSending {
            return resetForStall(connection, counting: .resetStalledClient)
        }
        timers.schedule(connection, at: now + pollingPeriod)
    }

    /// When the connection's patience ends, and for what, as things are now.
    /// - Parameter hasSpoken: its bytes wait in the kernel, so that it is not silent.
    private func deadline(of connection: Int32, hasSpoken: Bool = false) -> Deadline {
        var situation = situation(of: connection)
        if isDraining, !hasSpoken, let end = silenceEnd(connection) { situation.silenceEnd = end }
        return exchanges[connection].state.deadline(situation, limits.timeouts)
    }

    @inline(__always)
    private func situation(of connection: Int32) -> Situation {
        let record = connections[connection]
        var situation = Situation(record.client.mode)
        situation.isShaking = record.isShaking
        situation.isMidHead = record.isMidHead
        situation.hasServed = record.client.hasServed
        situation.hasBytes = !record.received.isEmpty
        situation.hasUnsent = record.isSending || record.hasUnsent
        situation.hasAcknowledged = record.unacknowledged == 0
        situation.finishSent = record.finishSent
        if isWaiting(connection) { situation.waitEnd = waitDeadline(connection) }
        situation.hasBulk = record.isBulk && hasBulkWaiting(connection)
        if case .relay = record.client.mode {
            situation.hasEndedDirection = hasEndedDirection(connection)
            situation.endWaits = clientEndWaits(connection)
        }
        return situation
    }

    // MARK: relays

    /// A relay of which nothing is to be watched needs no timer.
    private func isWatched(_ connection: Int32) -> Bool {
        limits.timeouts.relayIdle > 0 || hasEndedDirection(connection)
    }

    private func hasEndedDirection(_ connection: Int32) -> Bool {
        guard case .open = connections[connection].client.end else { return true }
        if case .open = serviceEnd(connection) { return false }
        return true
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
        if case .skipped = exchanges[connection].state.request { return discard(connection) }
        close(connection, reset: false, counting: .endedByDrain)
    }
}
