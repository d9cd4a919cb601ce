import Exchanges
import HTTP1
import Memory
import Reactor
import TLS
import Yamux

// Bulk from a client to its service: socket to pipe, a header, pipe to session. The pipe is filled when the session is
// free to send, so that the header says what lies in it already and a frame that has begun needs nobody any more: its
// client may vanish. Until it is out nothing else is sent on the session. In between, receives are single and short:
// they wait for bytes as a poll would, and what is small is copied as before.
extension Worker {
    /// A receive of a client has brought bytes: does the flow prove to be bulk, or not to be any more?
    @_noLocks
    mutating func watchForBulk(_ connection: Int32, _ count: Int, hasMore: Bool) {
        connections[connection].isDry = !hasMore
        if connections[connection].isBulk {
            let isSmall = count < DataPlaneLimits.bulkReceiveBytes
            connections[connection].bulkSigns = isSmall ? connections[connection].bulkSigns + 1 : 0
            if connections[connection].bulkSigns >= DataPlaneLimits.smallSigns { endBulk(connection) }
            return
        }
        let isFull = count >= min(limits.receiveBufferBytes, DataPlaneLimits.smallestSplice)
        guard isFull, hasMore else { return connections[connection].bulkSigns = 0 }
        connections[connection].bulkSigns = min(connections[connection].bulkSigns + 1, DataPlaneLimits.bulkSigns)
        let isLong = isBodyLong(connection)
        guard isLong || connections[connection].bulkSigns >= DataPlaneLimits.bulkSigns, maySplice(connection) else {
            return
        }
        connections[connection].isBulk = true
        connections[connection].bulkSigns = 0
        if case .armed = connections[connection].receive { cancelReceive(connection) }
    }

    /// A body whose length is known to be worth it.
    private func isBodyLong(_ connection: Int32) -> Bool {
        guard case .http = connections[connection].client.mode, case .body = exchanges[connection].state.request else {
            return false
        }
        return exchanges[connection].state.requestLeft >= DataPlaneLimits.bulkBodyBytes
    }

    /// Whether what the client sends next can go through a pipe. What is kept, to be sent again, has to be seen.
    private func maySplice(_ connection: Int32) -> Bool {
        guard pipes.count > 0, !connections[connection].client.tls.exists, !exchanges[connection].state.isKept else {
            return false
        }
        let stream = exchanges[connection].stream
        guard stream >= 0, streams[stream].state.isAcknowledged, streams[stream].state.canSendFin else { return false }
        guard !streams[stream].isTakenBack else { return false }
        switch connections[connection].client.mode {
        case .relay: return true
        case .undecided: return false
        case .http:
            guard case .body = exchanges[connection].state.request,
                case .counted = exchanges[connection].state.requestFraming
            else { return false }
            return exchanges[connection].state.requestLeft >= UInt64(DataPlaneLimits.smallestSplice)
        }
    }

    @_noLocks
    mutating func endBulk(_ connection: Int32) {
        connections[connection].isBulk = false
        connections[connection].bulkSigns = 0
        leaveSpliceQueue(connection)
    }

    /// Goes on with a bulk flow: the connection queues for the session's next spliced frame, or waits for bytes or for
    /// a window.
    @_noLocks
    mutating func continueBulk(_ connection: Int32) {
        guard case .idle = connections[connection].receive, !connections[connection].isQueuedToSplice else { return }
        // What lies aside goes first: a window, or the session's egress, will take it.
        guard connections[connection].received.isEmpty, !connectionLinks.isLinked(connection) else {
            return watchForReset(connection)
        }
        guard maySplice(connection) else {
            endBulk(connection)
            return continueReceiving(connection)
        }
        guard !connections[connection].isDry else { return armReceive(connection) }
        let stream = exchanges[connection].stream
        let session = streams[stream].session
        // Nothing is received meanwhile.
        watchForReset(connection)
        guard sessions[session].egress.frameOwner != connection, streams[stream].state.sendWindow > 0 else { return }
        connections[connection].isQueuedToSplice = true
        connectionLinks.append(connection, to: &sessions[session].egress.bulk)
        markDirty(session: streams[stream].session)
    }

    /// Whether its socket has bulk that only the service keeps from going on.
    @_noLocks
    func hasBulkWaiting(_ connection: Int32) -> Bool {
        let stream = exchanges[connection].stream
        guard connections[connection].isBulk, stream >= 0 else { return false }
        if connections[connection].isQueuedToSplice { return true }
        if sessions[streams[stream].session].egress.frameOwner == connection { return true }
        return !connections[connection].isDry && streams[stream].state.sendWindow == 0
    }

    /// The connection has no part in its session's spliced frames any more; one that has begun goes out without it.
    @_noLocks
    func leaveSpliceQueue(_ connection: Int32) {
        let stream = exchanges[connection].stream
        guard stream >= 0 else { return }
        let session = streams[stream].session
        if connections[connection].isQueuedToSplice {
            connections[connection].isQueuedToSplice = false
            connectionLinks.remove(connection, from: &sessions[session].egress.bulk)
        }
        if sessions[session].egress.frameOwner == connection { sessions[session].egress.frameOwner = -1 }
    }

    /// Sends spliced frames, a connection's each, for as long as the session takes them and its turn lasts. What else
    /// waits goes before each of them. True: everything else may be sent now.
    @_noLocks
    mutating func sendSpliced(_ session: Int32) -> Bool {
        var left = DataPlaneLimits.splicedBytesPerTurn
        while true {
            guard finishFrame(session) else { return false }
            guard left > 0 else {
                if !sessions[session].egress.bulk.isEmpty { queues.splicingSenders.append(session) }
                return true
            }
            let connection = connectionLinks.removeFirst(from: &sessions[session].egress.bulk)
            guard connection >= 0 else { return true }
            connections[connection].isQueuedToSplice = false
            left -= beginFrame(session, connection)
            guard case .live = sessions[session].phase else { return false }
        }
    }

    /// Takes what the client's socket has into a pipe and writes the header for it. Returns how many bytes that were.
    private mutating func beginFrame(_ session: Int32, _ connection: Int32) -> Int {
        assert(exchanges[connection].half.exists, "rule 16: who has bulk for a session is served by it")
        let stream = exchanges[connection].stream
        let pipe = pipes.take()
        guard pipe >= 0 else {
            books.bump(.pipesMissed)
            endBulk(connection)
            continueReceiving(connection)
            return 0
        }
        let count = pipes.fill(pipe, from: connections[connection].client.fd, atMost: roomForFrame(connection, stream))
        guard count > 0 else {
            pipes.giveBack(pipe)
            if KernelError.endsSocket(count) {
                clientVanished(connection)
                return 0
            }
            // The receive finds out whether there is nothing yet, or nothing more.
            connections[connection].isDry = true
            armReceive(connection)
            return 0
        }
        if case .http = connections[connection].client.mode {
            let taken = exchanges[connection].state.takeCounted(count)
            precondition(taken == count, "no more than the body was taken")
        }
        exchanges[connection].state.lastProgress = now
        books.bump(.splicedToSessions, by: UInt64(count))
        notePassed(connection, count)
        offer(connection, piped: count, in: pipe)
        return count
    }

    /// Writes the header of a frame whose bytes lie in a pipe: nothing else is sent until they are out.
    @_noLocks
    mutating func beginSplicedFrame(_ connection: Int32, _ stream: Int32, _ count: Int, _ pipe: Int32) {
        let session = streams[stream].session
        let length = UInt32(truncatingIfNeeded: count)
        let taken = streams[stream].state.sendFrame(maximum: length, payloadLimit: length)
        precondition(taken == length, "the window was looked at before")
        let flags = streams[stream].state.flagsForNextFrame()
        let id = streams[stream].state.id
        // All that was written before it, of the same stream above all.
        writeHeader(FrameHeader(type: .data, flags: flags, streamID: id, length: length), session, isControl: false)
        load(session)
        // Without its header the frame would be taken for frames.
        guard !sessions[session].egress.isExhausted else {
            pipes.giveBack(pipe)
            return loseSession(session, .noMemory)
        }
        sessions[session].egress.framePipe = pipe
        sessions[session].egress.frameOwner = connection
    }

    private func roomForFrame(_ connection: Int32, _ stream: Int32) -> Int {
        let room = min(Int(streams[stream].state.sendWindow), DataPlaneLimits.splicedFrameBytes)
        guard case .http = connections[connection].client.mode else { return room }
        return Int(min(UInt64(room), exchanges[connection].state.requestLeft))
    }

    /// Sends what is left of a frame that has begun, if there is one. False: the session takes no more now, or is lost.
    private mutating func finishFrame(_ session: Int32) -> Bool {
        let pipe = sessions[session].egress.framePipe
        guard pipe >= 0 else { return true }
        while !sessions[session].egress.flight.isEmpty {
            let sent = gather.sendNow(sessions[session].fd, sessions[session].egress.flight, of: pool, hasMore: true)
            guard sent > 0 else { return waitToSend(session, sent) }
            pool.drop(sent, from: &sessions[session].egress.flight)
            sessions[session].egress.lastSent = now
        }
        let sent = pipes.empty(pipe, into: sessions[session].fd)
        if sent > 0 { sessions[session].egress.lastSent = now }
        guard pipes.bytes(in: pipe) == 0 else {
            // Nothing moved is no error: that, too, is for the send to find out.
            guard sent >= 0 || sent == Int(KernelError.wouldBlock) else { return waitToSend(session, sent) }
            // The send of its first bytes waits for room, as a poll would.
            guard pipes.takeBlock(pipe, to: &sessions[session].egress.flight, of: pool) > 0 else {
                loseSession(session, .noMemory)
                return false
            }
            return waitToSend(session, Int(KernelError.wouldBlock))
        }
        pipes.giveBack(pipe)
        sessions[session].egress.framePipe = -1
        let owner = sessions[session].egress.frameOwner
        sessions[session].egress.frameOwner = -1
        if owner >= 0 { settle(owner) }
        guard case .live = sessions[session].phase else { return false }
        return true
    }

    /// The ring sends the session's flight when there is room for it; after an error there will be none.
    private mutating func waitToSend(_ session: Int32, _ result: Int) -> Bool {
        guard result == Int(KernelError.wouldBlock) || result == 0 else {
            loseSession(session, .reset)
            return false
        }
        sendFlight(session)
        return false
    }

    /// The session ends with a frame begun: its bytes are nobody's.
    @_noLocks
    mutating func dropFrame(_ session: Int32) {
        let pipe = sessions[session].egress.framePipe
        guard pipe >= 0 else { return }
        pipes.giveBack(pipe)
        sessions[session].egress.framePipe = -1
        sessions[session].egress.frameOwner = -1
    }
}
