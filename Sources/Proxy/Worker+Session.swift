import HTTP1
import Memory
import Reactor
import Routing
import Yamux

extension Worker {
    @_noLocks
    mutating func armSessionReceive(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        guard case .live = unsafe slot.pointee.phase, unsafe !slot.pointee.isReceiving else { return }
        if unsafe slot.pointee.isSplicing { return splicingReaders.append(session) }
        unsafe slot.pointee.isReceiving = true
        // Repeated without a pause: a session is always drained, back-pressure is a matter of windows.
        unsafe ring.receiveRepeatedly(slot.pointee.fd, group: 1, token(Operation.sessionReceive, session: session))
    }

    @_noLocks
    mutating func sessionReceiveCompleted(_ completion: Completion) {
        let session = completion.token.index
        let slot = unsafe sessions + Int(session)
        let isCurrent = unsafe slot.pointee.generation == completion.token.generation
        if isCurrent, !completion.hasMore { unsafe slot.pointee.isReceiving = false }
        if completion.buffer >= 0 {
            if isCurrent, completion.result > 0, case .live = unsafe slot.pointee.phase {
                unsafe sessionReceived(session, sessionBuffers.bytes(completion.buffer, count: completion.result))
                watchForLargeFrame(session)
            }
            sessionBuffers.giveBack(completion.buffer)
        }
        guard isCurrent else { return }
        guard case .live = unsafe slot.pointee.phase else { return finishSession(session) }
        switch completion.result {
        case 1..., KernelError.wouldBlock, KernelError.interrupted, KernelError.canceled: armSessionReceive(session)
        case KernelError.noBuffers:
            bump(.starved)
            starvedSessions.append(session)
        case 0:
            // Whichever of the two sides is the first to close what has nothing left.
            let hasEnded = unsafe slot.pointee.isDraining && slot.pointee.streams.isEmpty
            loseSession(session, hasEnded ? .drained : .closed)
        default: loseSession(session, .reset)
        }
    }

    /// Takes frames from a session's bytes, all of them: what cannot go on lies in the blocks of its connection.
    @_noLocks
    mutating func sessionReceived(_ session: Int32, _ bytes: UnsafeRawBufferPointer) {
        let slot = unsafe sessions + Int(session)
        unsafe slot.pointee.state.noteReceived(now: now)
        var offset = 0
        while case .live = unsafe slot.pointee.phase {
            let event = unsafe slot.pointee.reader.next(in: bytes, offset: &offset)
            switch event.kind {
            case .needsBytes: return
            case .breach: return breach(session, event.breach)
            case .header: receive(event.header, session)
            case .payload:
                let end = event.payloadOffset + event.payloadCount
                let payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[event.payloadOffset..<end])
                unsafe receivePayload(payload, session, isEnd: event.isPayloadEnd)
            }
        }
    }

    @_noLocks
    private mutating func receivePayload(_ payload: UnsafeRawBufferPointer, _ session: Int32, isEnd: Bool) {
        let slot = unsafe sessions + Int(session)
        let stream = unsafe slot.pointee.payloadStream
        if stream >= 0 {
            if streams[stream].connection >= 0 {
                let hasMore = unsafe deliver(stream, payload)
                // What lies behind a reply is nobody's, least of all the next client's.
                if hasMore || !isEnd, unsafe slot.pointee.payloadStream == stream { unexpectedBytes(stream) }
            } else {
                unexpectedBytes(stream)
            }
        }
        if isEnd { endPayload(session) }
    }

    /// The last byte of a payload has come.
    @_noLocks
    mutating func endPayload(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        unsafe slot.pointee.isMidSplice = false
        // It may have ended by what it said: look at what is there now.
        let current = unsafe slot.pointee.payloadStream
        unsafe slot.pointee.payloadStream = -1
        guard unsafe slot.pointee.finishesAfterPayload else { return }
        unsafe slot.pointee.finishesAfterPayload = false
        if current >= 0 { serviceFinished(current) }
    }

    /// Bytes on a stream that carries no exchange: an idle one cannot be trusted any more; one that lingers is about
    /// to end anyway.
    @_noLocks
    private mutating func unexpectedBytes(_ stream: Int32) {
        if streams[stream].isIdle { abandon(stream) }
    }

    @_noLocks
    private mutating func receive(_ header: FrameHeader, _ session: Int32) {
        let slot = unsafe sessions + Int(session)
        switch header.type {
        case .ping, .goAway: unsafe act(slot.pointee.state.receiveSessionFrame(header, now: now), session)
        case .data, .windowUpdate:
            let stream = table.find(session: session, id: header.streamID, in: streams)
            if stream >= 0 {
                receive(header, session, stream)
            } else {
                unsafe slot.pointee.payloadStream = -1
                unsafe slot.pointee.finishesAfterPayload = false
                unsafe act(slot.pointee.state.receiveUnknownStream(header, now: now), session)
                routeOpeners(session)
            }
        }
    }

    /// A frame of a stream that is known.
    @_noLocks
    private mutating func receive(_ header: FrameHeader, _ session: Int32, _ stream: Int32) {
        let slot = unsafe sessions + Int(session)
        let wasAcknowledged = streams[stream].state.isAcknowledged
        let event = streams[stream].state.receive(header)
        guard event.breach == .none else { return breach(session, event.breach) }
        var hasPayload = false
        if case .data = header.type { hasPayload = header.length > 0 }
        unsafe slot.pointee.payloadStream = hasPayload && !event.contains(.late) ? stream : -1
        unsafe slot.pointee.finishesAfterPayload = false
        // Trailer fields may wait for more than the window that there was.
        let mayGoOn = !hasPayload && waitsInTrailers(streams[stream].connection)
        if event.isEmpty, !mayGoOn { return }
        if event.contains(.acknowledged), !wasAcknowledged {
            unsafe slot.pointee.state.acknowledged(header.streamID)
            noteAcceptance(session)
            streamAccepted(stream, session)
            if unsafe !slot.pointee.openers.isEmpty { markDirty(session: session) }
        }
        if event.contains(.acknowledgedLate) { return takenBackTooLate(stream, session) }
        if event.contains(.reset) { return streamReset(session, stream, isRefused: event.contains(.refused)) }
        let connection = streams[stream].connection
        if event.contains(.windowOpened) || mayGoOn, connection >= 0 {
            let generation = streams.generation(of: stream)
            continueSending(connection)
            // What lay aside may have ended the exchange, and the stream with it.
            guard streams.generation(of: stream) == generation else { return }
        }
        if event.contains(.finished) {
            // With bytes in the same frame, the end comes after them.
            if hasPayload {
                unsafe slot.pointee.finishesAfterPayload = true
            } else {
                serviceFinished(stream)
            }
        } else if connection >= 0, !wasAcknowledged, connections[connection].clientFinished {
            settle(connection)
        }
    }

    @_noLocks
    private func waitsInTrailers(_ connection: Int32) -> Bool {
        connection >= 0 && !connections[connection].received.isEmpty && isInTrailers(connection)
    }

    /// The stream has a window again for what lies aside.
    @_noLocks
    private mutating func continueSending(_ connection: Int32) {
        connections[connection].lastProgress = now
        feedReceived(connection)
        settle(connection)
    }

    /// The service reset the stream, or refused it before it was accepted.
    @_noLocks
    private mutating func streamReset(_ session: Int32, _ stream: Int32, isRefused: Bool) {
        if isRefused {
            let refusal = unsafe (sessions + Int(session)).pointee.state.refused(streams[stream].state.id)
            if refusal != .none { return breach(session, refusal) }
            pauseAfterRefusal(session)
        }
        let connection = streams[stream].connection
        guard connection >= 0 else { return free(stream) }
        loseExchange(connection, isUndelivered: isRefused)
    }

    /// A service that refuses is full, or about to say GoAway: to ask again at once would only use the attempts up.
    @_noLocks
    private func pauseAfterRefusal(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        let doublings = unsafe UInt64(min(slot.pointee.state.refusalsInARow, 6))
        unsafe slot.pointee.refusedUntil = now + (DataPlaneLimits.refusalMilliseconds << doublings)
    }

    @_noLocks
    private mutating func act(_ action: SessionAction, _ session: Int32) {
        let slot = unsafe sessions + Int(session)
        switch action {
        case .nothing, .acceptStream: break
        case .pong:
            unsafe slot.pointee.roundTrip.answered(slot.pointee.state, now: nowMicroseconds)
            barrierAnswered(session)
        case .answerPing(let value): writeHeader(FrameHeader.pong(value), session, isControl: true)
        case .refuseStream(let id): writeHeader(FrameHeader.reset(id), session, isControl: true)
        case .drain:
            unsafe slot.pointee.isDraining = true
            unsafe slot.pointee.goAwayAt = now
            drainingSessions += 1
            if hasWillingSibling(session) { takeBack(session, openedBefore: now, provesDelivery: false) }
            unsafe slot.pointee.takeBackAt = now + DataPlaneLimits.goAwayMilliseconds
            scheduleTick(session)
            unsafe sessionTallies.store(slot.pointee.tally.word, at: Int(session))
            unsafe report(session, SessionWord.make(SessionWord.draining, generation: slot.pointee.generation))
            routeOpeners(session)
            endIdle(session)
            markDirty(session: session)
        case .breach(let breach): self.breach(session, breach)
        }
        boundControl(session)
    }

    /// A peer that makes us answer and reads nothing does not get to fill our memory.
    @_noLocks
    private mutating func boundControl(_ session: Int32) {
        if unsafe sessions[Int(session)].control.count > 256 << 10 { loseSession(session, .unresponsive) }
    }

    /// Streams that wait for a next request end: there will be none.
    @_noLocks
    private mutating func endIdle(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        while unsafe !slot.pointee.idle.isEmpty { unsafe retireIdle(slot.pointee.idle.first) }
    }

    @_noLocks
    mutating func retireIdle(_ stream: Int32) {
        let slot = unsafe sessions + Int(streams[stream].session)
        unsafe unusedLinks.remove(stream, from: &slot.pointee.idle)
        streams[stream].isIdle = false
        streams[stream].unusedSince = now
        unsafe unusedLinks.append(stream, to: &slot.pointee.lingering)
        sendFin(stream)
        if streams[stream].state.isFinished { free(stream) }
    }

    @_noLocks
    private mutating func breach(_ session: Int32, _ breach: Breach) {
        loseSession(session, .breach, detail: breach.number)
    }

    @_noLocks
    func report(_ session: Int32, _ word: UInt64) {
        sessionWords.store(word, at: Int(session))
        controlBell.ring()
    }

    /// The session is over: its requests fail, its relays end, and who waits for it looks for another.
    @_noLocks
    mutating func loseSession(_ session: Int32, _ reason: SessionEnd, detail: UInt8 = 0) {
        let slot = unsafe sessions + Int(session)
        guard case .live = unsafe slot.pointee.phase else { return }
        unsafe slot.pointee.phase = .ending
        unsafe slot.pointee.lostTogether = slot.pointee.streams.count - slot.pointee.unusedStreams
        if unsafe slot.pointee.isDraining { drainingSessions -= 1 }
        while unsafe !slot.pointee.streams.isEmpty { unsafe loseStream(slot.pointee.streams.first) }
        unsafe sessionTallies.store(slot.pointee.tally.word, at: Int(session))
        unsafe report(
            session,
            SessionWord.make(
                SessionWord.gone, generation: slot.pointee.generation, reason: reason.place, detail: UInt64(detail)))
        routeOpeners(session)
        let aside = Token(kind: Operation.aside, generation: 0, index: session)
        if unsafe slot.pointee.framePipe >= 0 || slot.pointee.reader.isMidFrame { bump(.framesCut) }
        dropFrame(session)
        if unsafe slot.pointee.isPolling { ring.cancel(token(Operation.sessionPoll, session: session), aside) }
        if unsafe slot.pointee.isReceiving { ring.cancel(token(Operation.sessionReceive, session: session), aside) }
        if unsafe slot.pointee.isSending { ring.cancel(token(Operation.sessionSend, session: session), aside) }
        finishSession(session)
    }

    @_noLocks
    private mutating func loseStream(_ stream: Int32) {
        let connection = streams[stream].connection
        guard connection >= 0 else { return free(stream) }
        loseExchange(connection, isUndelivered: isUnsent(stream))
    }

    /// When the kernel has let go of the session, its slot can be given out again.
    @_noLocks
    mutating func finishSession(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        guard case .ending = unsafe slot.pointee.phase else { return }
        guard unsafe !slot.pointee.isReceiving, unsafe !slot.pointee.isSending, unsafe !slot.pointee.isPolling else {
            return
        }
        unsafe pool.clear(&slot.pointee.control)
        unsafe pool.clear(&slot.pointee.egress)
        unsafe pool.clear(&slot.pointee.flight)
        unsafe ring.close(slot.pointee.fd, Token(kind: Operation.aside, generation: 0, index: session))
        timers.cancel(Int32(limits.connections) + session)
        unsafe slot.pointee = Session(limits: limits.session, firstStreamID: limits.firstStreamID)
        dirtySessions.remove(session)
        starvedSessions.remove(session)
        splicingReaders.remove(session)
        splicingSenders.remove(session)
        set(.sessions, to: Int(counters.loadRelaxed(Counter.sessions.place)) - 1)
        let gone = sessionWords.load(Int(session))
        sessionWords.store(gone & ~0xFF | SessionWord.released, at: Int(session))
        controlBell.ring()
    }
}

extension SessionEnd {
    var place: UInt64 {
        @_noLocks get { UInt64(unsafe unsafeBitCast(self, to: UInt8.self)) + 1 }
    }
}
