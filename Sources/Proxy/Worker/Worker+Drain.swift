import Exchanges
import Memory
import Reactor
import Yamux

// The end of the program: nobody new, and everybody else in good order.
extension Worker {
    /// No new clients. The others are looked at behind the turn's completions: what they have said is served.
    mutating func beginToDrain() {
        isDraining = true
        drainsInTurn = true
        for listener in 0..<Int32(accepting.listenerCount) where accepting.listeners[listener].isArmed {
            ring.cancel(acceptToken(listener), Token(kind: Operation.aside, generation: 0, index: listener))
        }
    }

    /// Clients between requests go, the others when their reply is out.
    mutating func drain() {
        assert(isDraining, "rule 3: the end is looked at after it was announced")
        drainsInTurn = false
        // Whoever connects is refused from here on, and may try a successor that takes the port over.
        for listener in 0..<Int32(accepting.listenerCount) where accepting.listeners[listener].fd >= 0 {
            acceptQueued(listener)
            Sockets.stopListening(accepting.listeners[listener].fd)
        }
        for connection in 0..<Int32(connections.touched) where connections.isTaken(connection) {
            if let end = silenceEnd(connection), end <= now,
                !Sockets.hasBytes(connections[connection].client.fd)
            {
                close(connection, reset: false, counting: .endedByDrain)
            } else {
                schedule(connection, at: now + pollingPeriod)
            }
        }
        // Nobody can register any more.
        while waiting.forRoute.count > 0 { turnAway(waiting.forRoute.first, .refusedDraining) }
        // Services learn that the proxy is about to end; the streams that there are end in good order.
        for session in 0..<Int32(limits.sessions) { sayGoAway(session) }
    }

    @_noLocks
    mutating func sayGoAway(_ session: Int32) {
        guard case .live = sessions[session].phase, sessions[session].egress.isAnnounced else { return }
        // Requests whose heads are on their way still get their streams: it is the service that opens none any more.
        writeHeader(FrameHeader.goAway(.normal), session, isControl: true)
    }

    /// Until when a proxy that ends waits for a client that nobody would miss: it has said nothing, or nothing since
    /// its last reply, which it has. Whoever has just come, or just had its reply, may be about to speak. Nil: it is no
    /// such client.
    @_noLocks
    func silenceEnd(_ connection: Int32) -> UInt64? {
        let record = connections[connection]
        let exchange = exchanges[connection]
        guard !record.isLeaving, !record.isSending, !record.hasUnsent else { return nil }
        guard record.received.isEmpty, !record.isMidHead else { return nil }
        switch (record.client.mode, exchange.state.request, exchange.state.reply) {
        case (.http, .head, .none), (.http, .skipped, .none), (.undecided, _, _):
            return exchange.state.past.phaseSince + DataPlaneLimits.drainPatienceMilliseconds
        default: return nil
        }
    }

    mutating func reportIfDrained() {
        guard connections.count == 0, accepting.parked.isEmpty else { return }
        books.reportFinished()
    }

    /// What goes out before the reactor stops: nothing more than what the kernel takes at once.
    mutating func stopSessions() {
        countCutOff()
        for session in 0..<limits.sessions {
            if case .live = sessions[session].phase { loseSession(Int32(session), .stopped) }
        }
        ring.submitAndWait(milliseconds: 0)
    }
}
