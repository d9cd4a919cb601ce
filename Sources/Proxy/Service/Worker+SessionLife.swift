import Exchanges
import Memory
import Reactor
import Routing
import Yamux

// A session from its adoption to its end.
extension Worker {
    /// A session is ours. Its frames are answered when its registration has been.
    mutating func adoptSession(_ command: Command) {
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
    mutating func announceSession(_ command: Command) {
        guard let bytes = unsafe UnsafeMutableRawPointer(bitPattern: command.address) else { return }
        if isLive(command.session) {
            let session = Int32(command.session.index)
            var first = Chain()
            let response = unsafe UnsafeRawBufferPointer(start: bytes, count: command.count)
            if unsafe pool.append(response, to: &first) {
                pool.join(&first, to: &sessions[session].egress.flight)
                assert(!sessions[session].egress.isAnnounced, "a session is announced once")
                sessions[session].egress.isAnnounced = true
                markDirty(session: session)
            } else {
                loseSession(session, .noMemory)
            }
        }
        unsafe bytes.deallocate()
    }

    mutating func probe(_ command: Command) {
        guard isLive(command.session) else { return }
        let session = Int32(command.session.index)
        let value = sessions[session].state.probe(now: now, within: 2_000)
        writePing(value, session)
        scheduleTick(session)
    }

    @_noLocks
    mutating func act(_ action: SessionAction, _ session: Int32) {
        switch action {
        case .nothing, .acceptStream: break
        case .pong:
            sessions[session].roundTrip.answered(sessions[session].state, now: nowMicroseconds)
            barrierAnswered(session)
        case .answerPing(let value): writeHeader(FrameHeader.pong(value), session, isControl: true)
        case .refuseStream(let id): writeHeader(FrameHeader.reset(id), session, isControl: true)
        case .drain:
            sessions[session].draining.since = now
            drainingSessions += 1
            if hasWillingSibling(session) { takeBack(session, openedBefore: now, provesDelivery: false) }
            sessions[session].draining.takeBackAt = now + DataPlaneLimits.goAwayMilliseconds
            scheduleTick(session)
            books.store(sessions[session].tally, ofSession: session)
            report(session, SessionWord.make(SessionWord.draining, generation: sessions[session].generation))
            routeOpeners(session)
            endIdleStreams(session)
            markDirty(session: session)
        case .breach(let breach): self.breach(session, breach)
        }
        boundControl(session)
    }

    /// A peer that makes us answer and reads nothing does not get to fill our memory.
    @_noLocks
    mutating func boundControl(_ session: Int32) {
        if sessions[session].egress.control.count > 256 << 10 { loseSession(session, .unresponsive) }
    }

    /// Streams that wait for a next request end: there will be none.
    @_noLocks
    mutating func endIdleStreams(_ session: Int32) {
        while !sessions[session].streams.idle.isEmpty { retireIdle(sessions[session].streams.idle.first) }
    }

    @_noLocks
    mutating func breach(_ session: Int32, _ breach: Breach) {
        loseSession(session, .breach, detail: breach.number)
    }

    @_noLocks
    func report(_ session: Int32, _ word: UInt64) {
        books.report(word, ofSession: session)
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
        if sessions[session].egress.isSending, now > sessions[session].egress.lastSent + limits.timeouts.stall {
            return loseSession(session, .unresponsive)
        }
        endUnused(session)
        lookForUntoldEnds(with: session)
        if sessions[session].draining.takeBackAt <= now { takeBackFromDraining(session) }
        watchAcceptance(session)
        raisePace(session)
        tellFigures(session)
        if !sessions[session].waiters.isEmpty { routeOpeners(session) }
        // Blocks may have become free elsewhere, or frames have waited long enough for others to go with.
        if !sessions[session].egress.ready.isEmpty || !sessions[session].egress.frames.isEmpty {
            markDirty(session: session)
        }
        scheduleTick(session)
    }

    @_noLocks
    func tellFigures(_ session: Int32) {
        books.tell(
            streams: sessions[session].streams.all.count,
            roundTripMicroseconds: sessions[session].roundTrip.microseconds, ofSession: session)
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
        schedule(timer(ofSession: session), at: due)
    }

    @_noLocks
    mutating func endUnused(_ session: Int32) {
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

    /// The session is over: its requests fail, its relays end, and who waits for it looks for another.
    @_noLocks
    mutating func loseSession(_ session: Int32, _ reason: SessionEnd, detail: UInt8 = 0) {
        guard case .live = sessions[session].phase else { return }
        sessions[session].phase = .ending
        sessions[session].standing.lostTogether =
            sessions[session].streams.all.count - sessions[session].streams.unusedCount
        sessions[session].standing.lostWithSuspect = sessions[session].standing.suspects > 0
        if sessions[session].isDraining { drainingSessions -= 1 }
        while !sessions[session].streams.isEmpty { loseStream(sessions[session].streams.all.first) }
        assert(drainingSessions >= 0, "rule 9: sessions that have said GoAway are counted")
        books.store(sessions[session].tally, ofSession: session)
        report(
            session,
            SessionWord.make(
                SessionWord.gone, generation: sessions[session].generation, reason: reason.place, detail: UInt64(detail)
            ))
        routeOpeners(session)
        let aside = Token(kind: Operation.aside, generation: 0, index: session)
        if sessions[session].egress.framePipe >= 0 || sessions[session].reading.frames.isMidFrame {
            books.bump(.framesCut)
        }
        dropFrame(session)
        if sessions[session].reading.isPolling { ring.cancel(token(Operation.sessionPoll, session: session), aside) }
        if sessions[session].reading.isReceiving {
            ring.cancel(token(Operation.sessionReceive, session: session), aside)
        }
        if sessions[session].egress.isSending { ring.cancel(token(Operation.sessionSend, session: session), aside) }
        finishSession(session)
    }

    @_noLocks
    mutating func loseStream(_ stream: Int32) {
        let connection = streams[stream].connection
        guard connection >= 0 else { return free(stream) }
        loseExchange(connection, .ended, isUndelivered: isUnsent(stream))
    }

    /// When the kernel has let go of the session, its slot can be given out again.
    @_noLocks
    mutating func finishSession(_ session: Int32) {
        guard case .ending = sessions[session].phase else { return }
        guard !sessions[session].reading.isReceiving, !sessions[session].egress.isSending,
            !sessions[session].reading.isPolling
        else {
            return
        }
        assert(sessions[session].streams.isEmpty, "rule 24: a session ends with its streams")
        assert(sessions[session].waiters.isEmpty, "rule 21: nobody waits for a session that has ended")
        pool.clear(&sessions[session].egress.control)
        pool.clear(&sessions[session].egress.frames)
        pool.clear(&sessions[session].egress.flight)
        ring.close(sessions[session].fd, Token(kind: Operation.aside, generation: 0, index: session))
        timers.cancel(timer(ofSession: session))
        sessions[session] = Session(limits: limits.session, firstStreamID: limits.firstStreamID)
        queues.forget(session: session)
        books.set(.sessions, to: books.value(of: .sessions) - 1)
        books.release(session: session)
    }
}
