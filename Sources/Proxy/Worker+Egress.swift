import Memory
import Reactor
import Yamux

extension Worker {
    /// Sends what each session has got together, control frames first, in one go.
    @_noLocks
    mutating func flushSessions() {
        // Giving streams their turn may close connections, and those mark sessions that have been passed already.
        while true {
            let session = dirtySessions.removeFirst()
            guard session >= 0 else { return }
            flush(session: session)
        }
    }

    @_noLocks
    private mutating func flush(session: Int32) {
        let slot = unsafe sessions + Int(session)
        guard case .live = unsafe slot.pointee.phase else { return }
        if unsafe slot.pointee.isExhausted { return loseSession(session, .noMemory) }
        if hasOpeners(session) { routeOpeners(session) }
        guard case .live = unsafe slot.pointee.phase else { return }
        pump(session)
        guard unsafe !slot.pointee.isSending, unsafe slot.pointee.isAnnounced else { return }
        if unsafe slot.pointee.framePipe >= 0 || !slot.pointee.bulk.isEmpty {
            let isFree = sendSpliced(session)
            // What marked it meanwhile is sent below, or when the send that it waits for has ended.
            dirtySessions.remove(session)
            guard isFree else { return }
        }
        if unsafe slot.pointee.flight.isEmpty { load(session) }
        guard unsafe !slot.pointee.flight.isEmpty else {
            if unsafe slot.pointee.isDraining, unsafe slot.pointee.streams.isEmpty { loseSession(session, .drained) }
            return
        }
        sendFlight(session)
    }

    @_noLocks
    mutating func sendFlight(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        unsafe slot.pointee.isSending = true
        let token = token(Operation.sessionSend, session: session)
        unsafe ring.send(slot.pointee.fd, slot.pointee.flight, of: pool, gathering: &gather, token)
    }

    /// What waits becomes what is sent, behind what was not sent whole: the control frames, then the others.
    @_noLocks
    mutating func load(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        unsafe pool.join(&slot.pointee.control, to: &slot.pointee.flight)
        unsafe pool.join(&slot.pointee.egress, to: &slot.pointee.flight)
        unsafe slot.pointee.loaded = slot.pointee.written
        unsafe slot.pointee.lateBytes = 0
        // There is room again for those that queue; what they write goes out with the next send.
        pump(session)
    }

    /// Gives the connections that wait for room their turns, a quantum each (deficit round robin with equal weights).
    @_noLocks
    private mutating func pump(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        // The same bounds as in `sendingRoom`: whom it would only put back into the queue is left there.
        while unsafe slot.pointee.egress.count < DataPlaneLimits.egressBytes, hasEgressBlocks,
            case .live = unsafe slot.pointee.phase
        {
            let connection = unsafe connectionLinks.removeFirst(from: &slot.pointee.ready)
            guard connection >= 0 else { return }
            takeTurn(connection, session)
            guard !connections[connection].isClosing else { continue }
            settle(connection)
        }
    }

    /// Passes on a quantum of what lies aside, then queues again if there is more and a window for it.
    @_noLocks
    private mutating func takeTurn(_ connection: Int32, _ session: Int32) {
        let slot = unsafe sessions + Int(session)
        let before = unsafe slot.pointee.egress.count
        while unsafe slot.pointee.egress.count - before < DataPlaneLimits.quantumBytes {
            let chain = connections[connection].received
            guard !chain.isEmpty, !connections[connection].isClosing else { return }
            if case .http = connections[connection].mode {
                guard case .body = connections[connection].request else { return }
            }
            let used = unsafe feed(connection, pool.front(of: chain))
            guard used > 0, !connections[connection].isClosing else { return }
            dropReceived(connection, used)
            if connectionLinks.isLinked(connection) { return }
        }
        let stream = connections[connection].stream
        guard stream >= 0, !connections[connection].received.isEmpty, streams[stream].state.sendWindow > 0 else {
            return
        }
        guard !connectionLinks.isLinked(connection) else { return }
        unsafe connectionLinks.append(connection, to: &slot.pointee.ready)
    }

    @_noLocks
    mutating func sessionSendCompleted(_ completion: Completion) {
        let session = completion.token.index
        let slot = unsafe sessions + Int(session)
        guard unsafe slot.pointee.generation == completion.token.generation else { return }
        unsafe slot.pointee.isSending = false
        guard case .live = unsafe slot.pointee.phase else { return finishSession(session) }
        switch completion.result {
        case 1...:
            unsafe pool.drop(Int(completion.result), from: &slot.pointee.flight)
            unsafe slot.pointee.lastSent = now
        case 0, KernelError.wouldBlock, KernelError.interrupted: break
        default: return loseSession(session, .reset)
        }
        let hasUrgent = unsafe slot.pointee.egress.count > slot.pointee.lateBytes
        if unsafe hasUrgent || !slot.pointee.flight.isEmpty || !slot.pointee.control.isEmpty {
            markDirty(session: session)
        } else if unsafe slot.pointee.framePipe >= 0 || !slot.pointee.bulk.isEmpty {
            markDirty(session: session)
        } else if unsafe !slot.pointee.ready.isEmpty || slot.pointee.isDraining {
            markDirty(session: session)
        } else if unsafe slot.pointee.lateBytes > 0 {
            scheduleLate(session)
        }
    }
}
