import Exchanges
import HTTP1
import Memory
import Yamux

extension Worker {
    /// The exchange on the connection's stream is over in good order: FIN at once, without waiting for the service's,
    /// because older yamux sends none of its own until ours comes; or the stream is kept for the next request.
    @_noLocks
    mutating func retire(_ connection: Int32) {
        let stream = exchanges[connection].stream
        leaveSessionQueue(connection)
        assert(streams[stream].connection == connection, "rule 4: a stream and its connection know of each other")
        returnCredit(connection, stream)
        endKeeping(connection)
        exchanges[connection].stream = -1
        streams[stream].connection = -1
        streams[stream].unusedSince = now
        if streams[stream].state.canSendFin {
            if mayKeep(connection, stream) { return keep(stream) }
            sendFin(stream, mayWait: true)
        }
        if streams[stream].state.isFinished { return free(stream) }
        linger(stream)
    }

    /// What was received for the connection and has been passed on is the service's again.
    private mutating func returnCredit(_ connection: Int32, _ stream: Int32) {
        let owed = exchanges[connection].owedCredit
        exchanges[connection].owedCredit = 0
        if owed > 0 { _ = streams[stream].state.consumed(owed, mayAnnounce: false) }
    }

    /// Whether the stream may carry another request: both messages ended and left it open.
    private mutating func mayKeep(_ connection: Int32, _ stream: Int32) -> Bool {
        let session = streams[stream].session
        guard sessions[session].options.reusesStreams, !sessions[session].isDraining,
            sessions[session].streams.idle.count < DataPlaneLimits.idleStreams
        else { return false }
        guard case .finished = exchanges[connection].state.request, !streams[stream].state.finReceived else {
            return false
        }
        // A service may not have read all of a body before it replied.
        guard case .none = exchanges[connection].state.requestFraming, !isScarceOfStreams else { return false }
        if case .untilClose = exchanges[connection].state.replyFraming { return false }
        // The next head has to fit whole.
        return unsafe exchanges[connection].state.serviceKeepsStream
            && Int(streams[stream].state.sendWindow) >= scratch.edited.count
            && streams[stream].state.isAcknowledged
    }

    /// Streams that serve nobody must not take the slots that clients need: neither those of services that never send
    /// their FIN, nor those that are kept for the next request.
    private var isScarceOfStreams: Bool {
        @_noLocks get { streams.capacity - streams.count < limits.connections }
    }

    private mutating func keep(_ stream: Int32) {
        assert(streams[stream].connection < 0, "rule 23: an idle stream serves nobody")
        streams[stream].use = .idle
        let credit = streams[stream].state.consumed(0, mayAnnounce: !memory.isOverLimit)
        let session = streams[stream].session
        if credit > 0 {
            let header = FrameHeader.windowUpdate(streams[stream].state.id, credit, flags: FrameFlags(rawValue: 0))
            writeHeader(header, session, isControl: true)
        }
        unusedLinks.append(stream, to: &sessions[session].streams.idle)
        if !sessions[session].waiters.openers.isEmpty { markDirty(session: session) }
    }

    /// The stream waits for the service's FIN, with a bound on how many do.
    private mutating func linger(_ stream: Int32) {
        assert(streams[stream].connection < 0, "rule 23: a stream that lingers serves nobody")
        let session = streams[stream].session
        streams[stream].use = .lingering
        unusedLinks.append(stream, to: &sessions[session].streams.lingering)
        if isScarceOfStreams || sessions[session].streams.lingering.count > DataPlaneLimits.lingeringStreams {
            abandon(sessions[session].streams.lingering.first)
        }
    }

    /// Ends the stream by RST, if the service knows of it and it is not over, and frees it.
    @_noLocks
    mutating func abandon(_ stream: Int32) {
        let session = streams[stream].session
        let id = streams[stream].state.id
        if streams[stream].connection >= 0 { leaveSessionQueue(streams[stream].connection) }
        if case .live = sessions[session].phase {
            if streams[stream].state.canSendReset {
                streams[stream].state.sendReset()
                writeHeader(FrameHeader.reset(id), streams[stream].session, isControl: false)
                // Something of it may still be on its way, so its id rests.
                if streams[stream].state.isAcknowledged {
                    sessions[session].state.noteReset(id)
                } else {
                    sessions[session].state.aborted(id)
                }
            } else if !streams[stream].state.isAnnounced {
                sessions[session].state.withdrawn(id)
            }
        }
        free(stream)
    }

    /// The stream is over; its slot and id are forgotten.
    @_noLocks
    mutating func free(_ stream: Int32) {
        let number = streams[stream].session
        let connection = streams[stream].connection
        if connection >= 0, exchanges[connection].stream == stream {
            leaveSessionQueue(connection)
            exchanges[connection].stream = -1
            exchanges[connection].owedCredit = 0
        }
        switch streams[stream].use {
        case .serving: break
        case .takenBack: unusedLinks.remove(stream, from: &sessions[number].streams.takenBack)
        case .idle: unusedLinks.remove(stream, from: &sessions[number].streams.idle)
        case .lingering: unusedLinks.remove(stream, from: &sessions[number].streams.lingering)
        }
        if sessions[number].reading.stream == stream { sessions[number].reading.stream = -1 }
        endPaced(stream, number)
        if streams[stream].isSuspect { acquit(stream, number) }
        returnExtraCredit(streams[stream].state.receiveWindowGrowth, number)
        pool.clear(&streams[stream].parts.head)
        table.remove(session: number, id: streams[stream].state.id, slot: stream)
        assert(sessions[number].streams.all.count > 0, "rule 24: a session's list has all of its streams")
        streamLinks.remove(stream, from: &sessions[number].streams.all)
        streams.remove(stream)
        books.set(.streams, to: streams.count)
        endIfDrained(number)
    }

    /// The service ended a stream that serves nobody.
    @_noLocks
    mutating func finishUnused(_ stream: Int32) {
        assert(streams[stream].connection < 0, "rule 23: only who serves nobody is unused")
        if streams[stream].state.canSendFin { sendFin(stream) }
        if streams[stream].state.isFinished { free(stream) }
    }

    /// The connection is no longer among those that wait for room in the session's egress.
    @_noLocks
    func leaveSessionQueue(_ connection: Int32) {
        leaveSpliceQueue(connection)
        let stream = exchanges[connection].stream
        guard stream >= 0, case .none = exchanges[connection].wait, connectionLinks.isLinked(connection) else {
            return
        }
        connectionLinks.remove(connection, from: &sessions[streams[stream].session].egress.ready)
    }

    /// A session that said GoAway has nothing left to do when its streams have ended.
    private mutating func endIfDrained(_ session: Int32) {
        guard case .live = sessions[session].phase, sessions[session].isDraining else { return }
        // Its FINs go out first; the end of the turn looks again.
        if sessions[session].streams.isEmpty { markDirty(session: session) }
    }

    /// - Parameter mayWait: the service does nothing but forget the stream by it, so it goes with what is sent next.
    @_noLocks
    mutating func sendFin(_ stream: Int32, mayWait: Bool = false) {
        assert(streams[stream].state.canSendFin, "rule 8: a stream ends once")
        let flags = streams[stream].state.flagsForNextFrame().union(.fin)
        streams[stream].state.sendFin()
        let header = FrameHeader.windowUpdate(streams[stream].state.id, 0, flags: flags)
        let session = streams[stream].session
        if mayWait, !sessions[session].isDraining {
            writeLate(header, session)
        } else {
            writeHeader(header, session, isControl: false)
        }
    }

    @_noLocks
    mutating func retireIdle(_ stream: Int32) {
        assert(streams[stream].isIdle, "rule 23: only an idle stream is retired as one")
        let session = streams[stream].session
        unusedLinks.remove(stream, from: &sessions[session].streams.idle)
        streams[stream].use = .lingering
        streams[stream].unusedSince = now
        unusedLinks.append(stream, to: &sessions[session].streams.lingering)
        sendFin(stream)
        if streams[stream].state.isFinished { free(stream) }
    }

    /// How far the service's direction has come to its end.
    @_noLocks
    func end(ofStream stream: Int32) -> ServiceEnd {
        guard streams[stream].state.finReceived else { return .open }
        return sessions[streams[stream].session].reading.stream == stream ? .announced : .finished
    }
}
