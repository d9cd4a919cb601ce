import Exchanges
import HTTP1
import Memory
import Yamux

// How a stream begins.
extension Worker {
    /// The service learns of the stream by an empty frame.
    @_noLocks
    mutating func announceStream(_ stream: Int32) {
        noteFirstFrame(stream)
        let flags = streams[stream].state.flagsForNextFrame()
        let header = FrameHeader.windowUpdate(streams[stream].state.id, 0, flags: flags)
        writeHeader(header, streams[stream].session, isControl: false)
    }

    /// Whether the session can open a stream, having done what that takes.
    @_noLocks @inline(__always)
    mutating func makeReadyToOpen(_ session: Int32) -> Bool {
        guard session >= 0, !streams.isFull else { return false }
        guard sessions[session].acceptance.refusedUntil <= now, mayHoldMore(session) else { return false }
        if !sessions[session].state.hasGoneRound, sessions[session].state.canOpenStream { return true }
        return makeReadyByOddID(session)
    }

    /// The ids have gone round, or the next one rests, or the queue of the service looks full.
    @_noLocks @inline(never)
    mutating func makeReadyByOddID(_ session: Int32) -> Bool {
        if sessions[session].state.hasGoneRound { passOverIDsInUse(session) }
        if sessions[session].state.awaitsPongForIDs { askForIDs(session) }
        return sessions[session].state.canOpenStream || sessions[session].state.mayProbe(now: now)
    }

    /// The ids have gone round: those of streams that live or linger are not given out again. There are far more ids
    /// than streams.
    @_noLocks
    func passOverIDsInUse(_ session: Int32) {
        while table.find(session: session, id: sessions[session].state.nextStreamID, in: streams) >= 0 {
            sessions[session].state.passOverStreamID()
        }
    }

    /// The next id rests until the service has answered a ping; who wants a stream waits for that.
    @_noLocks
    mutating func askForIDs(_ session: Int32) {
        guard let ping = sessions[session].state.pingForIDs() else { return }
        writePing(ping, session)
    }

    /// Whether an idle stream of the session can carry the connection's request: one that may be sent again, and asks
    /// for no other protocol. Servers on SwiftNIO switch with the first request of a connection or not at all.
    @_noLocks
    func canReuse(_ session: Int32, for connection: Int32) -> Bool {
        guard session >= 0, exchanges[connection].state.isIdempotent, !exchanges[connection].state.isUpgrade,
            case .http = connections[connection].client.mode
        else { return false }
        return !sessions[session].streams.idle.isEmpty && sessions[session].acceptance.refusedUntil <= now
    }

    /// A stream for a request: an idle one if the request may be sent again and the service wants that, else a new one.
    @_noLocks
    mutating func streamForRequest(_ connection: Int32, _ session: Int32) -> Int32 {
        if canReuse(session, for: connection) {
            let stream = unusedLinks.removeFirst(from: &sessions[session].streams.idle)
            assert(streams[stream].isIdle, "rule 23: a stream that is used again was idle")
            streams[stream].use = .serving
            streams[stream].connection = connection
            return stream
        }
        return openStream(connection, session)
    }

    /// Opens a stream for the connection; nothing is written yet. -1: no slot is left.
    @_noLocks
    mutating func openStream(_ connection: Int32, _ session: Int32) -> Int32 {
        guard makeReadyToOpen(session) else { return -1 }
        // Until now it had nothing to accept.
        if sessions[session].state.liveStreams == 0 { sessions[session].acceptance.last = now }
        let id = sessions[session].state.openStream()
        let stream = streams.insert(Stream(id: id, session: session, connection: connection))
        precondition(stream >= 0, "looked at before")
        streams[stream].openedAt = now
        table.insert(session: session, id: id, slot: stream)
        streamLinks.append(stream, to: &sessions[session].streams.all)
        books.set(.streams, to: streams.count)
        return stream
    }
}
