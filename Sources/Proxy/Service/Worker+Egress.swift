import Exchanges
import Memory
import Reactor
import Yamux

extension Worker {
    /// Sends what each session has got together, control frames first, in one go.
    @_noLocks @inline(never)
    mutating func flushSessions() {
        // Giving streams their turn may close connections, and those mark sessions that have been passed already.
        while true {
            let session = queues.dirtySessions.removeFirst()
            guard session >= 0 else { return }
            flush(session: session)
        }
    }

    private mutating func flush(session: Int32) {
        guard case .live = sessions[session].phase else { return }
        if sessions[session].egress.isExhausted { return loseSession(session, .noMemory) }
        if !sessions[session].waiters.isEmpty { routeOpeners(session) }
        guard case .live = sessions[session].phase else { return }
        pump(session)
        guard !sessions[session].egress.isSending, sessions[session].egress.isAnnounced else { return }
        if sessions[session].egress.hasBulk {
            let isFree = sendSpliced(session)
            // What marked it meanwhile is sent below, or when the send that it waits for has ended.
            queues.dirtySessions.remove(session)
            guard isFree else { return }
        }
        if sessions[session].egress.flight.isEmpty { load(session) }
        guard !sessions[session].egress.flight.isEmpty else {
            if sessions[session].isDraining, sessions[session].streams.isEmpty { loseSession(session, .drained) }
            return
        }
        sendFlight(session)
    }

    @_noLocks
    mutating func sendFlight(_ session: Int32) {
        assert(!sessions[session].egress.isSending, "rule 12: one send is under way on a socket")
        sessions[session].egress.isSending = true
        let token = token(Operation.sessionSend, session: session)
        ring.send(sessions[session].fd, sessions[session].egress.flight, of: pool, gathering: &gather, token)
    }

    /// What waits becomes what is sent, behind what was not sent whole: the control frames, then the others.
    @_noLocks
    mutating func load(_ session: Int32) {
        pool.join(&sessions[session].egress.control, to: &sessions[session].egress.flight)
        pool.join(&sessions[session].egress.frames, to: &sessions[session].egress.flight)
        sessions[session].egress.loaded = sessions[session].egress.written
        sessions[session].egress.lateBytes = 0
        // There is room again for those that queue; what they write goes out with the next send.
        pump(session)
    }

    /// Gives the connections that wait for room their turns, a quantum each (deficit round robin with equal weights).
    private mutating func pump(_ session: Int32) {
        // The same bounds as in `claimStreamRoom`: whom it would only put back into the queue is left there.
        while sessions[session].egress.frames.count < DataPlaneLimits.egressBytes, hasEgressBlocks,
            case .live = sessions[session].phase
        {
            let connection = connectionLinks.removeFirst(from: &sessions[session].egress.ready)
            guard connection >= 0 else { return }
            takeTurn(connection, session)
            guard !connections[connection].isClosing else { continue }
            settle(connection)
        }
    }

    /// Passes on a quantum of what lies aside, then queues again if there is more and a window for it.
    private mutating func takeTurn(_ connection: Int32, _ session: Int32) {
        assert(exchanges[connection].half.exists, "rule 16: who has bytes for a session is served by it")
        let before = sessions[session].egress.frames.count
        while sessions[session].egress.frames.count - before < DataPlaneLimits.quantumBytes {
            let chain = connections[connection].received
            guard !chain.isEmpty, !connections[connection].isClosing else { return }
            if case .http = connections[connection].client.mode {
                guard case .body = exchanges[connection].state.request else { return }
            }
            let used = unsafe feed(connection, pool.front(of: chain))
            guard used > 0, !connections[connection].isClosing else { return }
            dropReceived(connection, used)
            if connectionLinks.isLinked(connection) { return }
        }
        let stream = exchanges[connection].stream
        guard stream >= 0, !connections[connection].received.isEmpty, streams[stream].state.sendWindow > 0 else {
            return
        }
        guard !connectionLinks.isLinked(connection) else { return }
        connectionLinks.append(connection, to: &sessions[session].egress.ready)
    }

    @_noLocks
    mutating func sessionSendCompleted(_ completion: Completion) {
        let session = completion.token.index
        guard sessions[session].generation == completion.token.generation else { return }
        assert(sessions[session].egress.isSending, "rule 12: a send that completes was under way")
        sessions[session].egress.isSending = false
        guard case .live = sessions[session].phase else { return finishSession(session) }
        switch completion.result {
        case 1...:
            pool.drop(Int(completion.result), from: &sessions[session].egress.flight)
            sessions[session].egress.lastSent = now
        case 0, KernelError.wouldBlock, KernelError.interrupted: break
        default: return loseSession(session, .reset)
        }
        if sessions[session].egress.hasUrgent || sessions[session].egress.hasBulk {
            markDirty(session: session)
        } else if !sessions[session].egress.ready.isEmpty || sessions[session].isDraining {
            markDirty(session: session)
        } else if sessions[session].egress.lateBytes > 0 {
            scheduleLate(session)
        }
    }

    /// How many bytes the connection may write to its stream now. When the session has too much to send already, the
    /// connection queues up; when the stream has no window, its opening will call.
    @_noLocks
    mutating func claimStreamRoom(_ connection: Int32, _ stream: Int32, wanted: Int) -> Int {
        assert(streams[stream].connection == connection, "rule 4: a stream and its connection know of each other")
        guard !streams[stream].isTakenBack else { return 0 }
        let window = Int(streams[stream].state.sendWindow)
        guard window > 0 else { return 0 }
        let session = streams[stream].session
        let isQueued = connectionLinks.isLinked(connection)
        let isCrowded = sessions[session].egress.frames.count >= DataPlaneLimits.egressBytes
        // Others that wait come first, unless it is this one's turn (`pump` has taken it out of the queue).
        if isQueued || isCrowded || !hasEgressBlocks {
            if !isQueued { connectionLinks.append(connection, to: &sessions[session].egress.ready) }
            return 0
        }
        return min(wanted, min(window, DataPlaneLimits.frameBytes))
    }

    /// Whether the pool has blocks for a frame and what may come with it.
    var hasEgressBlocks: Bool {
        @_noLocks get { pool.inUse + 2 * DataPlaneLimits.frameBytes / BlockPool.blockBytes < memory.blocksForBytes }
    }
}
