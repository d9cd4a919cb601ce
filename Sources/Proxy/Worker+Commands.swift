import Memory
import Reactor
import Routing
import Yamux

extension Worker {
    mutating func obey(_ command: Command) {
        switch command.kind {
        case .handOver: takeOver(command)
        case .makeRoom: makeRoom(command.search)
        case .takeBack:
            var chain = command.chain
            pool.clear(&chain)
        case .adoptSession: adoptSession(command)
        case .announceSession: announceSession(command)
        case .probeSession: probe(command)
        case .endSession:
            if isLive(command.session) { loseSession(Int32(command.session.index), .stopped) }
        case .prepareListener:
            accepting.listenerCount = max(accepting.listenerCount, Int(command.listener) + 1)
            accepting.listeners[command.listener] = ListenerSlot(generation: command.generation)
        case .openListener:
            accepting.listeners[command.listener].fd = command.fd
            if isDraining {
                Sockets.stopListening(command.fd)
            } else if !accepting.isPaused {
                armAccept(command.listener)
            }
        case .closeListener: closeListener(command.listener)
        case .drain: beginToDrain()
        case .stop: isStopped = true
        }
    }

    /// A session is ours. Its frames are answered when its registration has been.
    private mutating func adoptSession(_ command: Command) {
        let session = Int32(command.session.index)
        guard case .free = sessions[session].phase else {
            preconditionFailure("the control thread gave a session's slot out twice")
        }
        sessions[session] = Session(limits: limits.session, firstStreamID: limits.firstStreamID)
        sessions[session].fd = command.fd
        sessions[session].generation = command.session.generation
        sessions[session].phase = .live
        sessions[session].options = command.options
        sessions[session].route = command.route
        sessions[session].standing.adoptedAt = now
        sessions[session].standing.program = command.program
        neighbours.note(program: command.program, ofSession: session)
        sessions[session].egress.lastSent = now
        sessions[session].acceptance.last = now
        sessions[session].state.noteReceived(now: now)
        report(session, SessionWord.make(SessionWord.live, generation: command.session.generation))
        books.bump(.sessions)
        if let bytes = unsafe UnsafeMutableRawPointer(bitPattern: command.address) {
            unsafe sessionReceived(session, UnsafeRawBufferPointer(start: bytes, count: command.count))
            unsafe bytes.deallocate()
        }
        armSessionReceive(session)
        scheduleTick(session)
    }

    /// The routes to the session can be seen by everybody: its service may hear so.
    private mutating func announceSession(_ command: Command) {
        guard let bytes = unsafe UnsafeMutableRawPointer(bitPattern: command.address) else { return }
        if isLive(command.session) {
            let session = Int32(command.session.index)
            var first = Chain()
            let response = unsafe UnsafeRawBufferPointer(start: bytes, count: command.count)
            if unsafe pool.append(response, to: &first) {
                pool.join(&first, to: &sessions[session].egress.flight)
                sessions[session].egress.isAnnounced = true
                markDirty(session: session)
            } else {
                loseSession(session, .noMemory)
            }
        }
        unsafe bytes.deallocate()
    }

    private mutating func probe(_ command: Command) {
        guard isLive(command.session) else { return }
        let session = Int32(command.session.index)
        let value = sessions[session].state.probe(now: now, within: 2_000)
        writePing(value, session)
        scheduleTick(session)
    }

    private mutating func closeListener(_ listener: Int32) {
        guard accepting.listeners[listener].fd >= 0 else { return }
        accepting.listeners[listener].isClosing = true
        if accepting.listeners[listener].isArmed {
            ring.cancel(acceptToken(listener), Token(kind: Operation.aside, generation: 0, index: listener))
        } else {
            finishListener(listener)
        }
    }

    /// No new clients. The others are looked at behind the turn's completions: what they have said is served.
    private mutating func beginToDrain() {
        isDraining = true
        drainsInTurn = true
        for listener in 0..<Int32(accepting.listenerCount) where accepting.listeners[listener].isArmed {
            ring.cancel(acceptToken(listener), Token(kind: Operation.aside, generation: 0, index: listener))
        }
    }

    /// Clients between requests go, the others when their reply is out.
    mutating func drain() {
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

    private mutating func sayGoAway(_ session: Int32) {
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
        guard !record.isClosing, !record.isHandingOver, !record.isSending, !record.hasUnsent else { return nil }
        guard record.received.isEmpty, !record.isMidHead else { return nil }
        switch (record.client.mode, exchange.request, exchange.reply) {
        case (.http, .head, .none), (.http, .skipped, .none), (.undecided, _, _):
            return exchange.past.phaseSince + DataPlaneLimits.drainPatienceMilliseconds
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
