import Memory
import Reactor
import Routing
import TLS

extension Worker {
    /// The connection goes on at a reactor that owns a session for it: as soon as nothing of it is left in this ring.
    @_noLocks
    mutating func handOver(_ connection: Int32, to reactor: Int) {
        stopWaiting(connection)
        if case .http = connections[connection].mode { connections[connection].request = .head }
        connections[connection].beginHandOver()
        connections[connection].target = UInt8(truncatingIfNeeded: reactor)
        timers.schedule(connection, at: now + pollingPeriod)
        if case .armed = connections[connection].receive { cancelReceive(connection) }
        if connections[connection].isPolling {
            let aside = Token(kind: Operation.aside, generation: 0, index: connection)
            ring.cancel(token(Operation.poll, connection: connection), aside)
        }
        // What it was reading is kept by whoever called; the end of the turn looks whether it can go.
        markDirty(connection: connection)
    }

    /// Sends the connection to its new reactor if the ring holds nothing of it any more.
    @_noLocks
    mutating func finishHandOver(_ connection: Int32) {
        let record = connections[connection]
        guard record.fd >= 0, !record.isInKernel, !record.hasUnsent else { return }
        var command = Command(.handOver)
        command.fd = record.fd
        command.listener = record.listener
        command.generation = record.listenerGeneration
        command.chain = record.received
        command.tls = record.tls
        command.sender = UInt8(truncatingIfNeeded: index)
        command.handOvers = record.handOvers &+ 1
        command.mode = record.mode
        command.clientEnd = record.clientEnd
        command.hasServed = record.hasServed
        command.phaseSince = record.phaseSince
        command.attempts = record.attempts
        command.loser = record.loser
        command.patienceSince = record.patienceSince
        command.waitedSince = record.waitedSince
        guard neighbours.push(command, to: Int(record.target)) else { return queues.postponed.append(connection) }
        books.bump(.handedOver)
        // The blocks are the receiver's to read until it sends them back.
        connections[connection].received = Chain()
        connections[connection].tls = TLSState()
        forget(connection)
    }

    /// Nobody waits for a full queue: it is tried again next turn.
    @_noLocks
    mutating func retryPostponed() {
        while true {
            let connection = queues.postponed.removeFirst()
            guard connection >= 0 else { return }
            markDirty(connection: connection)
        }
    }

    /// A connection arrives from another reactor, with what its client has said so far. It is not judged by an older
    /// snapshot than its sender's, for there might be no route for it in that one.
    @_noLocks
    mutating func takeOver(_ command: Command) {
        snapshot = neighbours.mailbox.continueTurn()
        var record = Connection(
            fd: command.fd, listener: command.listener, listenerGeneration: command.generation, now: now)
        record.tls = command.tls
        tls.adopt(command.tls)
        record.handOvers = command.handOvers
        record.mode = command.mode
        record.clientEnd = command.clientEnd
        record.hasServed = command.hasServed
        record.phaseSince = command.phaseSince
        record.attempts = command.attempts
        record.loser = command.loser
        record.patienceSince = command.patienceSince
        record.waitedSince = command.waitedSince
        let kept = copyChain(command, to: &record.received)
        neighbours.giveBack(command.chain, to: Int(command.sender))
        if connections.isFull { freeEnded() }
        let connection = kept ? connections.insert(record) : -1
        guard connection >= 0 else {
            pool.clear(&record.received)
            tls.free(record.tls)
            Sockets.resetOnClose(command.fd)
            Sockets.close(command.fd)
            books.removeConnection()
            books.bump(.refused)
            count(.resetNoRoom, ofListener: command.listener, generation: command.generation)
            return
        }
        books.set(.connections, to: connections.count)
        resume(connection)
    }

    private mutating func resume(_ connection: Int32) {
        switch connections[connection].mode {
        case .relay: routeRaw(connection)
        case .undecided: schedule(connection, at: now + DataPlaneLimits.sniffMilliseconds)
        case .http: schedule(connection, at: now + pollingPeriod)
        }
        if !connections[connection].isClosing { feedReceived(connection) }
        settle(connection)
    }

    private mutating func copyChain(_ command: Command, to chain: inout Chain) -> Bool {
        guard command.chain.head >= 0 else { return true }
        guard let view = neighbours.blocks(of: Int(command.sender)) else { return false }
        var block = command.chain.head
        while block >= 0 {
            let (bytes, next) = unsafe view.block(block)
            guard unsafe pool.append(bytes, to: &chain, sparing: limits.sparedBlocks) else { return false }
            block = next
        }
        return true
    }
}
