import Exchanges
import Memory
import Reactor
import TLS

extension Worker {
    /// Puts bytes behind those that the client has to be sent.
    @_noLocks
    mutating func send(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        guard !connections[connection].isClosing, bytes.count > 0 else { return }
        var bytes = unsafe bytes
        let mayStay = pool.inUse + bytes.count / BlockPool.blockBytes + 1 < memory.blocksForBytes
        guard mayStay || isSpared(connection, bytes.count) else {
            books.bump(.resets)
            return close(connection, reset: true, counting: .resetNoMemory)
        }
        noteSent(connection, bytes.count)
        // The client's time to take them begins. What only comes to lie behind other bytes is no progress.
        if !connections[connection].hasUnsent { exchanges[connection].state.lastProgress = now }
        if connections[connection].client.tls.exists, unsafe !sealWhole(connection, &bytes) {
            return close(connection, reset: true, counting: .resetNoMemory)
        }
        let sent = unsafe sendDirectly(connection, bytes)
        guard sent >= 0 else { return clientVanished(connection) }
        guard unsafe putBehind(connection, UnsafeRawBufferPointer(rebasing: bytes[sent...])) else {
            books.bump(.resets)
            return close(connection, reset: true, counting: .resetNoMemory)
        }
        // Only now is it known whether the client has taken everything.
        if sent > 0 { creditSent(connection, sent) }
        if connections[connection].unsentBytes > limits.pipeBytes + DataPlaneLimits.pileBytes { notePileUp(connection) }
        markDirty(connection: connection)
    }

    /// Heads and small replies have blocks for themselves, where their client has nothing else to be sent.
    @inline(never)
    private func isSpared(_ connection: Int32, _ count: Int) -> Bool {
        guard count <= BlockPool.blockBytes, !connections[connection].hasUnsent else { return false }
        return pool.hasRoom(for: count, sparing: limits.sparedFrameBlocks)
    }

    @_noLocks
    mutating func markDirty(connection: Int32) { queues.dirtyConnections.append(connection) }

    @_noLocks
    mutating func flushConnections() {
        while true {
            let connection = queues.dirtyConnections.removeFirst()
            guard connection >= 0 else { return }
            flush(connection)
        }
    }

    private mutating func flush(_ connection: Int32) {
        guard !connections[connection].isSending, !connections[connection].isClosing else { return }
        let isTLS = connections[connection].client.tls.exists
        guard !isTLS || seal(connection) else { return close(connection, reset: true, counting: .resetNoMemory) }
        if connections[connection].pipe >= 0 {
            emptyPipe(connection)
            guard !connections[connection].isClosing else { return }
        }
        sendLastWords(connection)
        guard !connections[connection].isClosing else { return }
        let chain = isTLS ? connections[connection].sealed : connections[connection].outgoing
        guard !chain.isEmpty else { return settle(connection) }
        assert(
            !connections[connection].isSending && !connections[connection].isClosing,
            "rule 12: one send is under way on a socket")
        connections[connection].isSending = true
        let token = token(Operation.send, connection: connection)
        ring.send(connections[connection].client.fd, chain, of: pool, gathering: &gather, token)
    }

    /// Whether what the client has to be sent is the last that it gets: no request is under way, and none can follow.
    @_noLocks
    func endsWithUnsent(_ connection: Int32) -> Bool {
        guard connections[connection].closesAfterFlush, case .http = connections[connection].client.mode,
            case .none = exchanges[connection].state.reply
        else { return false }
        switch exchanges[connection].state.request {
        case .discarded: return true
        case .head: return connections[connection].received.isEmpty
        case .waiting, .body, .finished, .skipped: return false
        }
    }

    /// The rest of a reply after which the connection ends goes out at once and takes the FIN along: one segment
    /// instead of two, and two turns fewer. What is not taken now goes the way of all bytes.
    private mutating func sendLastWords(_ connection: Int32) {
        let record = connections[connection]
        guard endsWithUnsent(connection), !record.lingers, !record.finishSent, record.pipe < 0 else { return }
        if record.client.tls.exists, !record.hasSaidEnd || !record.outgoing.isEmpty { return }
        let chain = record.client.tls.exists ? record.sealed : record.outgoing
        let words = unsafe pool.front(of: chain)
        guard words.count > 0, words.count == chain.count else { return }
        let taken = unsafe Sockets.sendLast(record.client.fd, words)
        guard taken > 0 else { return }
        if taken == words.count { connections[connection].ownEnd = .finished }
        creditSent(connection, dropSent(connection, taken))
    }

    @_noLocks
    mutating func sendCompleted(_ completion: Completion) {
        let connection = completion.token.index
        guard connections.generation(of: connection) == completion.token.generation else { return }
        assert(connections[connection].isSending, "rule 12: a send that completes was under way")
        connections[connection].isSending = false
        if connections[connection].isClosing {
            finishClose(connection)
            return
        }
        switch completion.result {
        case 1...: sent(connection, Int(completion.result))
        case 0, KernelError.wouldBlock, KernelError.interrupted: markDirty(connection: connection)
        default: clientVanished(connection)
        }
    }

    /// The client's socket has taken bytes: the service gets its credit back.
    private mutating func sent(_ connection: Int32, _ count: Int) {
        creditSent(connection, dropSent(connection, count))
        if connections[connection].hasUnsent { markDirty(connection: connection) }
        // A pipeline may have stopped because too much was unsent.
        if !connections[connection].received.isEmpty { feedReceived(connection) }
        settle(connection)
    }

    /// The client's socket has taken so many of the stream's bytes.
    @_noLocks
    mutating func creditSent(_ connection: Int32, _ taken: Int) {
        exchanges[connection].state.lastProgress = now
        let isFlowing = !connections[connection].hasUnsent
        // It is idle from when it has its reply.
        if isFlowing, case .head = exchanges[connection].state.request, !connections[connection].isMidHead {
            exchanges[connection].state.past.phaseSince = now
        }
        let owed = exchanges[connection].owedCredit
        let credit = isFlowing ? owed : min(owed, UInt32(truncatingIfNeeded: taken))
        exchanges[connection].owedCredit -= credit
        if credit > 0 { self.credit(connection, credit, isFlowing: isFlowing) }
    }

    /// Forgets bytes that the kernel has taken. Returns how many of the stream's they were.
    @_noLocks
    mutating func dropSent(_ connection: Int32, _ count: Int) -> Int {
        assert(count >= 0 && count <= connections[connection].unsentBytes, "rule 14: what is taken was there")
        guard connections[connection].client.tls.exists else {
            pool.drop(count, from: &connections[connection].outgoing)
            return count
        }
        pool.drop(count, from: &connections[connection].sealed)
        let sealedBytes = connections[connection].sealedBytes
        // What records have around their bytes is little; at the end the count is exact.
        let taken = connections[connection].sealed.isEmpty ? sealedBytes : min(sealedBytes, count)
        connections[connection].sealedBytes -= taken
        return taken
    }

    /// Offers bytes to the client's socket at once, from where they are: large ones, when nothing waits before them.
    /// Returns how many it took.
    @_noLocks
    mutating func sendDirectly(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard bytes.count >= DataPlaneLimits.smallestDirectSend, !connections[connection].client.tls.exists,
            !connections[connection].isSending, !connections[connection].hasUnsent
        else { return 0 }
        let sent = unsafe Sockets.sendNow(connections[connection].client.fd, bytes)
        return sent > 0 || KernelError.endsSocket(sent) ? sent : 0
    }
}
