import Exchanges
import HTTP1
import Memory
import Reactor
import TLS
import Yamux

// Bulk from a service to its client: session to pipe, pipe to socket. While a session's frames are large, its headers
// are read by themselves, so that what follows can go where it belongs without being seen. What cannot, because the
// frame is small, its client encrypted, its pipe full or no pipe left, is copied as before: a session is always
// drained.
extension Worker {
    /// What a payload can come to when it was to be spliced.
    private enum Splice {
        /// So many bytes are on their way.
        case moved(Int)
        /// There is nothing to be had from the session yet.
        case dry
        /// It has to be copied.
        case copied
    }

    /// Bytes of a session have been taken and end within a frame: if that is a large one, the rest of it is spliced,
    /// and what follows is looked at frame by frame.
    @_noLocks
    mutating func watchForLargeFrame(_ session: Int32) {
        guard !sessions[session].reading.isSplicing,
            sessions[session].reading.frames.payloadLeft >= DataPlaneLimits.largeFrameBytes,
            mayTakeSplice(session)
        else { return }
        guard sessions[session].reading.beginSplicing() else { return }
        let aside = Token(kind: Operation.aside, generation: 0, index: session)
        ring.cancel(token(Operation.sessionReceive, session: session), aside)
    }

    /// Whether the payload that is being read belongs to a client that can be sent it unseen.
    private func mayTakeSplice(_ session: Int32) -> Bool {
        let stream = sessions[session].reading.stream
        guard pipes.count > 0, stream >= 0, streams[stream].connection >= 0 else { return false }
        let connection = streams[stream].connection
        guard !connections[connection].client.tls.exists, !connections[connection].isClosing else { return false }
        switch connections[connection].client.mode {
        case .relay: return true
        case .undecided: return false
        case .http:
            guard case .body = exchanges[connection].state.reply else { return false }
            switch exchanges[connection].state.replyFraming {
            case .counted, .untilClose: return true
            case .none, .chunked: return false
            }
        }
    }

    @_noLocks
    mutating func sessionPollCompleted(_ completion: Completion) {
        let session = completion.token.index
        guard sessions[session].generation == completion.token.generation else { return }
        sessions[session].reading.pollEnded()
        guard case .live = sessions[session].phase else { return finishSession(session) }
        readSplicing(session)
    }

    /// Takes a session's frames one by one, until there are no more bytes or its turn is over.
    @_noLocks
    mutating func readSplicing(_ session: Int32) {
        var left = DataPlaneLimits.splicedBytesPerTurn
        var hasSpliced = false
        while case .live = sessions[session].phase {
            assert(sessions[session].reading.isSplicing, "rule 17: frame by frame is read what is spliced")
            guard left > 0 else { return queues.splicingReaders.append(session) }
            switch splicePayload(session) {
            case .moved(let count):
                left -= count
                hasSpliced = true
                continue
            case .dry: return waitForBytes(session, hasSpliced)
            case .copied: break
            }
            guard copiesLeft > 0 else { return queues.splicingReaders.append(session) }
            let count = readNext(session)
            guard count > 0 else { return count < 0 ? waitForBytes(session, hasSpliced) : () }
            left -= count
            copiesLeft -= count
        }
    }

    /// Copies the next bytes: a header alone if a payload to be spliced may follow it. Returns how many; -1: there are
    /// none yet, 0: the session is over.
    private mutating func readNext(_ session: Int32) -> Int {
        let isNarrow = sessions[session].reading.narrowReads > 0 && !sessions[session].reading.frames.isMidFrame
        if isNarrow { sessions[session].reading.narrowReads -= 1 }
        let count = unsafe isNarrow ? FrameHeader.byteCount : scratch.bulk.count
        let space = unsafe UnsafeMutableRawBufferPointer(rebasing: scratch.bulk[..<count])
        let received = unsafe Sockets.receiveNow(sessions[session].fd, space)
        guard received > 0 else {
            if received == Int(KernelError.wouldBlock) { return -1 }
            loseSession(session, received == 0 ? .closed : .reset)
            return 0
        }
        unsafe sessionReceived(session, UnsafeRawBufferPointer(rebasing: space[..<received]))
        return received
    }

    /// The session is looked at again when it has bytes: as before, once nothing large has come for a while.
    private mutating func waitForBytes(_ session: Int32, _ hasSpliced: Bool) {
        sessions[session].reading.smallWakeUps = hasSpliced ? 0 : sessions[session].reading.smallWakeUps + 1
        if sessions[session].reading.smallWakeUps >= DataPlaneLimits.smallSigns {
            sessions[session].reading.endSplicing()
            return armSessionReceive(session)
        }
        sessions[session].reading.poll()
        ring.pollForBytes(sessions[session].fd, token(Operation.sessionPoll, session: session))
    }

    /// Moves what there is of the payload that is being read towards its client.
    private mutating func splicePayload(_ session: Int32) -> Splice {
        var wanted = sessions[session].reading.frames.payloadLeft
        let smallest = sessions[session].reading.isMidSplice ? 1 : DataPlaneLimits.smallestSplice
        guard wanted >= smallest, mayTakeSplice(session) else { return .copied }
        let stream = sessions[session].reading.stream
        let connection = streams[stream].connection
        let isCounted = isReplyCounted(connection)
        if isCounted { wanted = Int(min(UInt64(wanted), exchanges[connection].state.replyLeft)) }
        guard wanted >= smallest, borrowPipe(connection) else { return .copied }
        let pipe = connections[connection].pipe
        let count = pipes.fill(pipe, from: sessions[session].fd, atMost: wanted)
        guard count > 0 else { return emptyHanded(connection, count) }
        assert(count <= wanted, "rule 17: no more is taken than the frame has")
        sessions[session].state.noteReceived(now: now)
        sessions[session].reading.narrowReads = DataPlaneLimits.narrowReads
        books.bump(.splicedToClients, by: UInt64(count))
        let isEnd = sessions[session].reading.frames.skipPayload(count)
        sessions[session].reading.isMidSplice = !isEnd
        deliver(connection, piped: count)
        if isEnd { endPayload(session) }
        return .moved(count)
    }

    /// A pipe that bytes can be put into, behind which nothing waits. False: there is none.
    private mutating func borrowPipe(_ connection: Int32) -> Bool {
        let pipe = connections[connection].pipe
        if pipe >= 0 { return behindPipes[pipe].isEmpty }
        // A client that stops reading keeps its pipe for as long as it likes; a frame to a service soon gives it back.
        connections[connection].pipe = pipes.take(leaving: pipes.count / 4)
        if connections[connection].pipe < 0 { books.bump(.pipesMissed) }
        return connections[connection].pipe >= 0
    }

    /// Nothing came into the pipe: the session has no bytes. Or the pipe has no room, the session is over, or its
    /// socket is of a kind that cannot be spliced: a receive finds out which.
    private mutating func emptyHanded(_ connection: Int32, _ result: Int) -> Splice {
        let isFull = pipes.bytes(in: connections[connection].pipe) > 0
        if !isFull { releasePipe(connection) }
        return !isFull && result == Int(KernelError.wouldBlock) ? .dry : .copied
    }
}
