import HTTP1
import Memory
import Reactor
import TLS
import Yamux

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
        // The client's time to take them begins. What only comes to lie behind other bytes is no progress.
        if !connections[connection].hasUnsent { exchanges[connection].lastProgress = now }
        if connections[connection].client.tls.exists, unsafe !sealWhole(connection, &bytes) {
            return close(connection, reset: true, counting: .resetNoMemory)
        }
        let sent = unsafe sendDirectly(connection, bytes)
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

    /// Requests that waited for the reply before them are looked at before anything is sent.
    @_noLocks
    mutating func serveServable() {
        while true {
            let connection = queues.servable.removeFirst()
            guard connection >= 0 else { return }
            if isRelayToRoute(connection) { routeRaw(connection) }
            feedReceived(connection)
            settle(connection)
        }
    }

    /// A raw connection that has lost its stream and may have another one.
    @_noLocks
    private func isRelayToRoute(_ connection: Int32) -> Bool {
        guard case .relay = connections[connection].client.mode, exchanges[connection].stream < 0 else { return false }
        return !isWaiting(connection) && !connections[connection].isClosing && !connections[connection].isHandingOver
    }

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
        connections[connection].isSending = true
        let token = token(Operation.send, connection: connection)
        ring.send(connections[connection].client.fd, chain, of: pool, gathering: &gather, token)
    }

    /// Whether what the client has to be sent is the last that it gets: no request is under way, and none can follow.
    @_noLocks
    func endsWithUnsent(_ connection: Int32) -> Bool {
        guard connections[connection].closesAfterFlush, case .http = connections[connection].client.mode,
            case .none = exchanges[connection].reply
        else { return false }
        switch exchanges[connection].request {
        case .discarded: return true
        case .head: return connections[connection].received.isEmpty
        case .waiting, .body, .finished, .skipped: return false
        }
    }

    /// The client has sent what may be a whole request, at which nobody has looked.
    @_noLocks
    func hasRequestAside(_ connection: Int32) -> Bool {
        guard case .head = exchanges[connection].request else { return false }
        return !connections[connection].received.isEmpty && !connections[connection].isMidHead
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
        exchanges[connection].lastProgress = now
        let isFlowing = !connections[connection].hasUnsent
        // It is idle from when it has its reply.
        if isFlowing, case .head = exchanges[connection].request, !connections[connection].isMidHead {
            exchanges[connection].past.phaseSince = now
        }
        let owed = exchanges[connection].owedCredit
        let credit = isFlowing ? owed : min(owed, UInt32(truncatingIfNeeded: taken))
        exchanges[connection].owedCredit -= credit
        let stream = exchanges[connection].stream
        if stream >= 0, credit > 0 { giveCredit(stream, credit, isFlowing: isFlowing) }
    }

    /// Forgets bytes that the kernel has taken. Returns how many of the stream's they were.
    @_noLocks
    mutating func dropSent(_ connection: Int32, _ count: Int) -> Int {
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

    /// Does what has become possible: ends that were waiting for bytes to go out, and the next receive.
    @_noLocks
    mutating func settle(_ connection: Int32) {
        if connections[connection].isClosing { return finishClose(connection) }
        if connections[connection].isHandingOver { return finishHandOver(connection) }
        switch connections[connection].client.mode {
        case .relay: settleRelay(connection)
        case .http: settleHTTP(connection)
        case .undecided: break
        }
        guard !connections[connection].isClosing, !connections[connection].isHandingOver else { return }
        continueReceiving(connection)
    }

    private mutating func settleHTTP(_ connection: Int32) {
        let record = connections[connection]
        if record.clientFinished {
            // Unless it is sent again, for then the client's end came behind it.
            if case .waiting = exchanges[connection].request, exchanges[connection].past.attempts.areNone {
                return leaveUnserved(connection)
            }
            // The rest of a head will never come.
            if record.isMidHead, case .none = exchanges[connection].reply { connections[connection].closeAfterFlush() }
        }
        if record.clientFinished, record.received.isEmpty {
            switch exchanges[connection].request {
            case .body: return clientVanished(connection)
            case .head, .skipped: connections[connection].closeAfterFlush()
            case .finished: passRequestEnd(connection)
            case .waiting, .discarded: break
            }
        } else if record.clientFinished, case .finished = exchanges[connection].request, hasNothingBehind(connection) {
            passRequestEnd(connection)
        }
        if connections[connection].closesAfterFlush, !record.sealed.isEmpty { markDirty(connection: connection) }
        guard connections[connection].closesAfterFlush, !record.hasUnsent, !record.isSending else { return }
        if case .none = exchanges[connection].reply {} else { return }
        // The next request has waited until less was unsent, and nobody has looked at it.
        if hasRequestAside(connection) { return queues.servable.append(connection) }
        guard saysEnd(connection) else { return }
        // A client that says no more needs no time, and neither does one for which all that it lacks is on its way: but
        // a reset in place of the end would make a reply that ends with its connection look cut.
        let mayLinger = record.lingers || endsByClosing(connection)
        guard !record.clientFinished,
            mayLinger || Sockets.unacknowledged(record.client.fd) > DataPlaneLimits.bytesOnTheirWay
        else { return close(connection, reset: false, counting: nil) }
        linger(connection)
    }

    /// Whether nothing but the end of the connection has told the client that its last reply was whole.
    private func endsByClosing(_ connection: Int32) -> Bool {
        if case .untilClose = exchanges[connection].replyFraming { return true }
        return exchanges[connection].decodesChunks
    }

    /// Whether what lies aside, behind which nothing comes, is for no service: empty lines, a part of a head, what is
    /// none, and everything behind a request that ends the connection. What lies behind CONNECT or an upgrade is for
    /// the tunnel.
    @inline(never)
    private mutating func hasNothingBehind(_ connection: Int32) -> Bool {
        guard !exchanges[connection].isUpgrade, !isConnect(connection) else { return false }
        guard exchanges[connection].keepsAlive else { return true }
        let front = unsafe pool.front(of: connections[connection].received)
        var finder = HeadEndFinder()
        var block = connections[connection].received.head
        while block >= 0 {
            guard unsafe finder.advance(pool.bytes(of: block)) < 0 else { break }
            block = pool.next(of: block)
        }
        guard block >= 0 else { return true }
        var bytes = unsafe front
        if finder.byteCount > front.count {
            let count = unsafe pool.copy(connections[connection].received, to: scratch.assembly)
            unsafe bytes = scratch.assembly.first(count)
        }
        if case .complete = unsafe scratch.requestHead.scan(bytes, limits: headLimits) { return false }
        return true
    }

    /// The client has finished and its last request is whole: the service may learn that nobody is there to ask for
    /// more. Not before it has accepted the stream: such a FIN would never be acknowledged, and a stream with one could
    /// not be taken back. Whatever the service still replies is passed on.
    private mutating func passRequestEnd(_ connection: Int32) {
        let stream = exchanges[connection].stream
        guard stream >= 0, streams[stream].state.isAcknowledged, streams[stream].state.canSendFin else { return }
        sendFin(stream)
    }

    /// What the client still sends is taken and dropped for a while, or a reset would overtake the reply (RFC 9112
    /// §9.6).
    private mutating func linger(_ connection: Int32) {
        let record = connections[connection]
        if !record.lingers || !record.finishSent {
            if !record.finishSent { Sockets.finish(record.client.fd) }
            connections[connection].ownEnd = .finished
            connections[connection].linger()
            if case .discarded = exchanges[connection].request {} else { discardRest(connection) }
            pool.clear(&connections[connection].received)
            exchanges[connection].past.phaseSince = now
            connections[connection].unacknowledged = UInt16.max
            schedule(connection, at: now + min(pollingPeriod, DataPlaneLimits.closingMilliseconds))
        }
        guard exchanges[connection].requestLeft > 0 else { return }
        if case .idle = record.receive, !queues.starvedConnections.contains(connection) { armReceive(connection) }
    }

    /// What the client still sends is nobody's. It is read, within a bound, so that no reset overtakes its reply.
    @_noLocks
    mutating func discardRest(_ connection: Int32) {
        exchanges[connection].request = .discarded
        exchanges[connection].requestLeft = DataPlaneLimits.discardedBytes
    }

    /// A client that has finished waits in vain: it gets what it was sent before, and its request is nobody's.
    @_noLocks
    mutating func leaveUnserved(_ connection: Int32) {
        let isWaiting = isWaiting(connection)
        if connections[connection].hasUnsent || connections[connection].isSending {
            if isWaiting { count(.clientLeftWaiting, connection) }
            discard(connection)
        } else {
            close(connection, reset: false, counting: isWaiting ? .clientLeftWaiting : nil)
        }
    }
}
