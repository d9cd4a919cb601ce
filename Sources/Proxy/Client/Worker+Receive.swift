import Exchanges
import HTTP1
import Memory
import Reactor

extension Worker {
    @_noLocks
    mutating func receiveCompleted(_ completion: Completion) {
        let connection = completion.token.index
        let isCurrent = connections.generation(of: connection) == completion.token.generation
        if isCurrent, !completion.hasMore { connections[connection].receive = .idle }
        if completion.buffer >= 0 {
            if isCurrent, completion.result > 0, !connections[connection].isClosing {
                unsafe received(connection, clientBuffers.bytes(completion.buffer, count: completion.result))
                watchForBulk(connection, Int(completion.result), hasMore: completion.socketHasMore)
            }
            clientBuffers.giveBack(completion.buffer)
        }
        guard isCurrent else { return }
        if completion.result <= 0 { receiveEnded(connection, completion.result) }
        settle(connection)
    }

    /// A receive brought no bytes: the client has finished or vanished, or we must ask again.
    private mutating func receiveEnded(_ connection: Int32, _ result: Int32) {
        guard !connections[connection].isClosing else { return }
        switch result {
        case 0: if speaksTLS(connection) { socketFinished(connection) } else { clientFinished(connection) }
        case KernelError.noBuffers:
            books.bump(.starved)
            queues.starvedConnections.append(connection)
        case KernelError.canceled, KernelError.wouldBlock, KernelError.interrupted: break
        default: clientVanished(connection)
        }
    }

    private mutating func received(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        if speaksTLS(connection) { unsafe tookRecords(connection, bytes) } else { unsafe took(connection, bytes) }
    }

    /// Bytes of the client; they stay where they are only until this returns.
    @_noLocks
    mutating func took(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        assert(!connections[connection].isClosing, "rule 4: nobody hears who has gone")
        noteReceived(connection)
        if connections[connection].received.isEmpty, !connections[connection].isHandingOver {
            let used = unsafe feed(connection, bytes)
            guard !connections[connection].isClosing, used < bytes.count else { return }
            unsafe keep(connection, UnsafeRawBufferPointer(rebasing: bytes[used...]))
        } else {
            unsafe keep(connection, bytes)
            feedReceived(connection)
        }
    }

    /// What is dropped is no progress, and neither is what only comes to lie behind other bytes: else a client that
    /// says a little now and then could wait for ever for a service that takes nothing.
    @_noLocks
    mutating func noteReceived(_ connection: Int32) {
        if case .discarded = exchanges[connection].state.request { return }
        if connections[connection].received.isEmpty { exchanges[connection].state.lastProgress = now }
    }

    /// Puts bytes aside that cannot go on now.
    private mutating func keep(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        guard unsafe pool.append(bytes, to: &connections[connection].received, sparing: limits.sparedBlocks)
        else {
            books.bump(.resets)
            close(connection, reset: true, counting: .resetNoMemory)
            return
        }
        checkSparedBlocks()
        guard countWaitingBytes(connection) else { return }
        if connections[connection].isMidHead { unsafe noteHeadBytes(connection, bytes) }
    }

    /// Passes on what lies aside, as far as it goes.
    @_noLocks
    mutating func feedReceived(_ connection: Int32) {
        while !connections[connection].isLeaving {
            let chain = connections[connection].received
            guard !chain.isEmpty else { return }
            // A head that lies aside in pieces is put together below, and never taken from its first piece.
            if case .undecided = connections[connection].client.mode {
                guard unsafe sniff(connection, pool.front(of: chain)) else { return }
                continue
            }
            if case .http = connections[connection].client.mode, case .head = exchanges[connection].state.request {
                guard feedHead(connection) else { return }
                continue
            }
            let used = unsafe feed(connection, pool.front(of: chain))
            guard used > 0, !connections[connection].isClosing else { return }
            dropReceived(connection, used)
        }
    }

    /// Forgets bytes that have been passed on. A refusal on the way has forgotten all of them already.
    @_noLocks
    mutating func dropReceived(_ connection: Int32, _ count: Int) {
        let held = connections[connection].received.count
        pool.drop(min(count, held), from: &connections[connection].received)
    }

    /// Gives bytes to whatever the connection is at. Returns how many it took; the rest has to be kept.
    @_noLocks
    mutating func feed(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        while offset < bytes.count, !connections[connection].isLeaving {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
            let used: Int
            switch connections[connection].client.mode {
            case .undecided:
                guard unsafe sniff(connection, rest) else { return offset }
                continue
            case .relay: used = unsafe passOn(connection, rest)
            case .http: used = unsafe feedHTTP(connection, rest)
            }
            guard used > 0 else { return offset }
            offset += used
        }
        return offset
    }

    private mutating func feedHTTP(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        switch exchanges[connection].state.request {
        case .head: unsafe beginRequest(connection, bytes)
        case .waiting, .finished: 0
        case .body: unsafe passBody(connection, bytes)
        case .skipped: skip(connection, bytes.count)
        case .discarded: drop(connection, bytes.count)
        }
    }

    /// Bytes of a body whose reply is out already. Returns how many belong to it; behind the last one the next request
    /// may begin.
    private mutating func skip(_ connection: Int32, _ available: Int) -> Int {
        let count = exchanges[connection].state.skip(available)
        if case .head = exchanges[connection].state.request { becomeIdle(connection) }
        return count
    }

    /// Bytes that are nobody's. Who sends too many of them is not read any more.
    private mutating func drop(_ connection: Int32, _ count: Int) -> Int {
        if exchanges[connection].state.drop(count) { stopReceiving(connection) }
        return count
    }

    /// Which kind of route the client's first bytes want. False: too early to tell.
    @inline(never)
    private mutating func sniff(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        switch unsafe RequestSniffer.judge(bytes) {
        case .http:
            connections[connection].client.mode = .http
            exchanges[connection].state.past.phaseSince = now
            schedule(connection, at: now + pollingPeriod)
        case .notHTTP: becomeRaw(connection)
        case .undecided: return false
        }
        return true
    }

    /// The client is one of the raw routes'.
    @_noLocks
    mutating func becomeRaw(_ connection: Int32) {
        assert(!isWaiting(connection) && !exchanges[connection].half.exists, "rule 29: a raw client begins unserved")
        connections[connection].client.mode = .relay
        timers.cancel(connection)
        routeRaw(connection)
    }

    /// Arms a receive if the connection can take bytes and has none armed; stops it when too many lie aside.
    @_noLocks
    mutating func continueReceiving(_ connection: Int32) {
        let record = connections[connection]
        guard !record.isLeaving else { return }
        guard !record.clientFinished else { return watchForReset(connection) }
        guard !queues.starvedConnections.contains(connection) else { return }
        if record.isBulk { return continueBulk(connection) }
        // A head may be larger than what is kept otherwise, and has to be seen to be too large.
        let bound = record.isMidHead ? limits.headBytes + 1 : 0
        if record.received.count >= max(bound, DataPlaneLimits.receivedBytes) {
            stopReceiving(connection)
        } else if case .idle = record.receive, !record.closesAfterFlush {
            armReceive(connection)
        }
    }

    @_noLocks
    mutating func armReceive(_ connection: Int32) {
        guard case .idle = connections[connection].receive, !connections[connection].isClosing else { return }
        connections[connection].receive = .armed
        let fd = connections[connection].client.fd
        let token = token(Operation.receive, connection: connection)
        if connections[connection].isBulk {
            ring.receive(fd, group: 0, atMost: DataPlaneLimits.bulkReceiveBytes, token)
        } else if connections[connection].isSettled {
            ring.receiveRepeatedly(fd, group: 0, token)
        } else {
            // The first ones are single, so that a hand-over has nothing to cancel.
            ring.receive(fd, group: 0, token)
        }
    }

    /// Leaves the client's further bytes in the kernel, and asks to be told if it vanishes meanwhile.
    @_noLocks
    mutating func stopReceiving(_ connection: Int32) {
        assert(!connections[connection].isClosing, "rule 5: who has gone is not watched")
        if case .armed = connections[connection].receive { cancelReceive(connection) }
        watchForReset(connection)
    }

    /// Where nothing is received, a client that vanishes is noticed by a poll.
    @_noLocks
    mutating func watchForReset(_ connection: Int32) {
        let record = connections[connection]
        guard !record.isPolling else { return }
        connections[connection].isPolling = true
        ring.pollForHangUp(record.client.fd, token(Operation.poll, connection: connection))
    }

    @_noLocks
    mutating func cancelReceive(_ connection: Int32) {
        connections[connection].receive = .canceling
        let aside = Token(kind: Operation.aside, generation: 0, index: connection)
        ring.cancel(token(Operation.receive, connection: connection), aside)
    }

    @_noLocks
    mutating func pollCompleted(_ completion: Completion) {
        let connection = completion.token.index
        guard connections.generation(of: connection) == completion.token.generation else { return }
        assert(connections[connection].isPolling, "rule 5: a poll that completes was armed")
        if !completion.hasMore { connections[connection].isPolling = false }
        // After our own FIN the client's is no fault, and shows as POLLHUP.
        let brokenEvents: Int32 = connections[connection].finishSent ? 0x08 : 0x08 | 0x10  // POLLERR, POLLHUP
        if !connections[connection].isClosing, completion.result > 0 {
            if completion.result & brokenEvents != 0 {
                clientVanished(connection)
            } else if completion.result & 0x2000 != 0 {  // POLLRDHUP
                if case .open = connections[connection].client.end { connections[connection].client.end = .announced }
                if mayHaveLeft(connection) { leaveUnserved(connection) }
            }
        }
        settle(connection)
    }

    /// A client of HTTP that waits for its first service and says that it has finished is gone, whatever of its bytes
    /// still lies in the kernel.
    private func mayHaveLeft(_ connection: Int32) -> Bool {
        guard case .http = connections[connection].client.mode, isWaiting(connection) else { return false }
        return exchanges[connection].state.past.attempts.areNone
    }

    /// The client sends no more (FIN).
    @_noLocks
    mutating func clientFinished(_ connection: Int32) {
        connections[connection].client.end = .finished
        // The reactor that it goes to learns of it and sees what is left to do.
        guard !connections[connection].isHandingOver else { return }
        switch connections[connection].client.mode {
        case .relay:
            exchanges[connection].state.past.phaseSince = now
            // A client that has said nothing and waits is gone; what it has said is delivered, and its end after it.
            if isWaiting(connection), connections[connection].received.isEmpty {
                close(connection, reset: false, counting: .clientLeftWaiting)
            }
        case .undecided:
            exchanges[connection].state.past.phaseSince = now
            // The beginning of a method and nothing behind it is no request.
            if connections[connection].received.isEmpty {
                close(connection, reset: false, counting: nil)
            } else {
                becomeRaw(connection)
            }
        case .http:
            switch exchanges[connection].state.request {
            // What lies aside may be the rest of the body; `settle` sees when it was not.
            case .finished, .body, .skipped, .discarded: break
            case .head where connections[connection].hasUnsent || connections[connection].isSending:
                connections[connection].closeAfterFlush()
            case .head where hasRequestAside(connection):
                // A request that nobody has looked at is served first.
                connections[connection].closeAfterFlush()
                queues.servable.append(connection)
            case .head, .waiting: leaveUnserved(connection)
            }
        }
    }

    /// The client is gone without an orderly end: its stream is reset.
    @_noLocks
    mutating func clientVanished(_ connection: Int32) {
        close(connection, reset: true, counting: isWaiting(connection) ? .clientLeftWaiting : .clientGone)
    }
}
