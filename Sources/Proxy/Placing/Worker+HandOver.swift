import Exchanges
import Memory
import Reactor
import Routing
import TLS

extension Worker {
    /// The connection goes on at a reactor that owns a session for it: as soon as nothing of it is left in this ring.
    @_noLocks
    mutating func handOver(_ connection: Int32, to reactor: Int) {
        assert(reactor != index && reactor < limits.reactors, "a client goes to another reactor")
        assert(!exchanges[connection].half.exists, "rule 29: who goes is not served here")
        stopWaiting(connection)
        if case .http = connections[connection].client.mode { exchanges[connection].state.endWait() }
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
        assert(connections[connection].isHandingOver, "rule 4: only who is to go goes")
        let record = connections[connection]
        guard record.client.fd >= 0, !record.isInKernel, !record.hasUnsent else { return }
        var command = Command(.handOver)
        command.client = HandedOver(record.client, exchanges[connection].state.past, received: record.received)
        command.client.measure = exchanges[connection].measure
        if exchanges[connection].isPatient { command.client.patience = patience[connection] }
        command.client.history.handOvers &+= 1
        command.sender = UInt8(truncatingIfNeeded: index)
        guard neighbours.push(command, to: Int(record.target)) else { return queues.postponed.append(connection) }
        books.bump(.handedOver)
        // The blocks are the receiver's to read until it sends them back.
        connections[connection].received = Chain()
        connections[connection].client.tls = TLSState()
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
        assert(Int(command.sender) != index, "a client comes from another reactor")
        snapshot = neighbours.mailbox.continueTurn()
        let sent = command.client
        var record = Connection(sent.client)
        tls.adopt(sent.client.tls)
        let isWhole = copy(sent.received, of: command.sender, to: &record.received)
        neighbours.giveBack(sent.received, to: Int(command.sender))
        if connections.isFull { freeEnded() }
        guard isWhole, !connections.isFull else {
            pool.clear(&record.received)
            return refuseHandedOver(sent)
        }
        let connection = insert(record, Exchange(sent.history, now: now))
        exchanges[connection].measure = sent.measure
        if let times = sent.patience {
            patience[connection] = times
            exchanges[connection].isPatient = true
        }
        resume(connection)
    }

    private mutating func refuseHandedOver(_ sent: HandedOver) {
        let client = sent.client
        noteRefused(sent)
        tls.free(client.tls)
        Sockets.resetOnClose(client.fd)
        Sockets.close(client.fd)
        books.removeConnection()
        books.bump(.refused)
        count(.resetNoRoom, ofListener: client.listener, generation: client.listenerGeneration)
    }

    private mutating func resume(_ connection: Int32) {
        switch connections[connection].client.mode {
        case .relay: routeRaw(connection)
        case .undecided: schedule(connection, at: now + Timeouts.sniff)
        case .http: schedule(connection, at: now + pollingPeriod)
        }
        if !connections[connection].isClosing { feedReceived(connection) }
        settle(connection)
    }

    /// Copies what lies in another reactor's blocks. False: there is no room for it.
    private mutating func copy(_ sent: Chain, of sender: UInt8, to chain: inout Chain) -> Bool {
        guard sent.head >= 0 else { return true }
        guard let view = neighbours.blocks(of: Int(sender)) else { return false }
        var block = sent.head
        while block >= 0 {
            let (bytes, next) = unsafe view.block(block)
            guard unsafe pool.append(bytes, to: &chain, sparing: limits.sparedBlocks) else { return false }
            block = next
        }
        return true
    }
}
