import Exchanges
import Memory
import Reactor
import Yamux

extension Worker {
    @_noLocks
    mutating func armSessionReceive(_ session: Int32) {
        guard case .live = sessions[session].phase, !sessions[session].reading.isReceiving else { return }
        if sessions[session].reading.isSplicing { return queues.splicingReaders.append(session) }
        sessions[session].reading.receive()
        // Repeated without a pause: a session is always drained, back-pressure is a matter of windows.
        ring.receiveRepeatedly(sessions[session].fd, group: 1, token(Operation.sessionReceive, session: session))
    }

    @_noLocks
    mutating func sessionReceiveCompleted(_ completion: Completion) {
        let session = completion.token.index
        let isCurrent = sessions[session].generation == completion.token.generation
        if isCurrent, !completion.hasMore { sessions[session].reading.receiveEnded() }
        if completion.buffer >= 0 {
            if isCurrent, completion.result > 0, case .live = sessions[session].phase {
                unsafe sessionReceived(session, sessionBuffers.bytes(completion.buffer, count: completion.result))
                watchForLargeFrame(session)
            }
            sessionBuffers.giveBack(completion.buffer)
        }
        assert(completion.result <= 0 || completion.buffer >= 0, "rule 1: bytes come in buffers")
        guard isCurrent else { return }
        guard case .live = sessions[session].phase else { return finishSession(session) }
        switch completion.result {
        case 1..., KernelError.wouldBlock, KernelError.interrupted, KernelError.canceled: armSessionReceive(session)
        case KernelError.noBuffers:
            books.bump(.starved)
            queues.starvedSessions.append(session)
        case 0:
            // Whichever of the two sides is the first to close what has nothing left.
            let hasEnded = sessions[session].isDraining && sessions[session].streams.isEmpty
            loseSession(session, hasEnded ? .drained : .closed)
        default: loseSession(session, .reset)
        }
    }

    /// Takes frames from a session's bytes, all of them: what cannot go on lies in the blocks of its connection.
    @_noLocks
    mutating func sessionReceived(_ session: Int32, _ bytes: UnsafeRawBufferPointer) {
        sessions[session].state.noteReceived(now: now)
        var offset = 0
        while case .live = sessions[session].phase {
            let event = unsafe sessions[session].reading.frames.next(in: bytes, offset: &offset)
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

    private mutating func receivePayload(_ payload: UnsafeRawBufferPointer, _ session: Int32, isEnd: Bool) {
        let stream = sessions[session].reading.stream
        if stream >= 0 {
            if streams[stream].connection >= 0 {
                let hasMore = unsafe deliver(streams[stream].connection, payload)
                // What lies behind a reply is nobody's, least of all the next client's.
                if hasMore || !isEnd, sessions[session].reading.stream == stream { unexpectedBytes(stream) }
            } else {
                unexpectedBytes(stream)
            }
        }
        if isEnd { endPayload(session) }
    }

    /// The last byte of a payload has come.
    @_noLocks
    mutating func endPayload(_ session: Int32) {
        sessions[session].reading.isMidSplice = false
        // It may have ended by what it said: look at what is there now.
        let current = sessions[session].reading.stream
        sessions[session].reading.stream = -1
        guard sessions[session].reading.finishesAfterPayload else { return }
        sessions[session].reading.finishesAfterPayload = false
        if current >= 0 { streamFinished(current) }
    }

    /// Bytes on a stream that carries no exchange: an idle one cannot be trusted any more; one that lingers is about
    /// to end anyway.
    private mutating func unexpectedBytes(_ stream: Int32) {
        if streams[stream].isIdle { abandon(stream) }
    }

    private mutating func receive(_ header: FrameHeader, _ session: Int32) {
        switch header.type {
        case .ping, .goAway: act(sessions[session].state.receiveSessionFrame(header, now: now), session)
        case .data, .windowUpdate:
            let stream = table.find(session: session, id: header.streamID, in: streams)
            if stream >= 0 {
                receive(header, session, stream)
            } else {
                sessions[session].reading.stream = -1
                sessions[session].reading.finishesAfterPayload = false
                act(sessions[session].state.receiveUnknownStream(header, now: now), session)
                routeOpeners(session)
            }
        }
    }

    /// A frame of a stream that is known.
    private mutating func receive(_ header: FrameHeader, _ session: Int32, _ stream: Int32) {
        let wasAcknowledged = streams[stream].state.isAcknowledged
        let event = streams[stream].state.receive(header)
        guard event.breach == .none else { return breach(session, event.breach) }
        var hasPayload = false
        if case .data = header.type { hasPayload = header.length > 0 }
        sessions[session].reading.stream = hasPayload && !event.contains(.late) ? stream : -1
        sessions[session].reading.finishesAfterPayload = false
        // Trailer fields may wait for more than the window that there was.
        let mayGoOn = !hasPayload && waitsInTrailers(streams[stream].connection)
        if event.isEmpty, !mayGoOn { return }
        if event.contains(.acknowledged), !wasAcknowledged {
            sessions[session].state.acknowledged(header.streamID)
            noteAcceptance(session)
            if streams[stream].connection >= 0 { serviceAccepted(streams[stream].connection) }
            if !sessions[session].waiters.openers.isEmpty { markDirty(session: session) }
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
                sessions[session].reading.finishesAfterPayload = true
            } else {
                streamFinished(stream)
            }
        } else if connection >= 0, !wasAcknowledged, connections[connection].clientFinished {
            settle(connection)
        }
    }

    private func waitsInTrailers(_ connection: Int32) -> Bool {
        connection >= 0 && !connections[connection].received.isEmpty
            && exchanges[connection].state.isInTrailers
    }

    /// The stream has a window again for what lies aside.
    private mutating func continueSending(_ connection: Int32) {
        assert(exchanges[connection].half.exists, "rule 29: a window is that of a half that serves")
        exchanges[connection].state.lastProgress = now
        feedReceived(connection)
        settle(connection)
    }

    /// The service reset the stream, or refused it before it was accepted.
    private mutating func streamReset(_ session: Int32, _ stream: Int32, isRefused: Bool) {
        assert(streams[stream].session == session, "rule 24: a frame is for a stream of its session")
        if isRefused {
            let refusal = sessions[session].state.refused(streams[stream].state.id)
            if refusal != .none { return breach(session, refusal) }
            pauseAfterRefusal(session)
        }
        let connection = streams[stream].connection
        guard connection >= 0 else { return free(stream) }
        loseExchange(connection, isRefused ? .refused : .reset, isUndelivered: isRefused)
    }

    /// The service has ended a stream (FIN), and all bytes before its end have been passed on.
    private mutating func streamFinished(_ stream: Int32) {
        let connection = streams[stream].connection
        if connection >= 0 { serviceFinished(connection) } else { finishUnused(stream) }
    }
}
