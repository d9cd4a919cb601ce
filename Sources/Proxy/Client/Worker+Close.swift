import Memory
import Reactor
import TLS

extension Worker {
    /// Ends the connection: its stream is reset unless it is over, and the descriptor is closed when the kernel holds
    /// none of our memory for it any more.
    /// - Parameters:
    ///   - reset: the client learns by a reset, not by a FIN.
    ///   - why: what it is counted as; nil: it has ended in good order, or has been counted already.
    @_noLocks
    mutating func close(_ connection: Int32, reset: Bool, counting why: ListenerCounter?) {
        guard !connections[connection].isClosing else { return }
        if connections[connection].isShaking {
            loseHandshake(connection, why)
        } else if let why {
            count(why, connection)
        }
        if connections[connection].client.tls.exists { sayLastRecords(connection, isReset: reset) }
        endPatience(connection)
        abort(connection)
        dropKept(connection)
        if isMeasured(connection) { noteEnded(connection) }
        connections[connection].beginClose(reset: reset)
        assert(
            !exchanges[connection].half.exists && !isWaiting(connection),
            "rule 4: who has gone waits nowhere, and is not served")
        timers.cancel(connection)
        dropPipe(connection)
        pool.clear(&connections[connection].received)
        let record = connections[connection]
        memory.closingBytes += record.outgoing.count + record.sealed.count
        let aside = Token(kind: Operation.aside, generation: 0, index: connection)
        if case .armed = record.receive { cancelReceive(connection) }
        if record.isSending { ring.cancel(token(Operation.send, connection: connection), aside) }
        if record.isPolling { ring.cancel(token(Operation.poll, connection: connection), aside) }
        finishClose(connection)
    }

    /// Ends the connection by a reset, behind what has come for the client: as much of it as its socket takes.
    @_noLocks
    mutating func cutOff(_ connection: Int32, counting why: ListenerCounter?) {
        offerUnsent(connection)
        close(connection, reset: true, counting: why)
    }

    /// Offers what waits to the client's socket at once. What a send under way keeps back stays behind it.
    private mutating func offerUnsent(_ connection: Int32) {
        let isTLS = connections[connection].client.tls.exists
        guard !connections[connection].isSending, !connections[connection].isClosing else { return }
        if isTLS { _ = seal(connection) }
        while true {
            let chain = isTLS ? connections[connection].sealed : connections[connection].outgoing
            let front = unsafe pool.front(of: chain)
            guard front.count > 0 else { break }
            let sent = unsafe Sockets.sendNow(connections[connection].client.fd, front)
            guard sent > 0 else { return }
            _ = dropSent(connection, sent)
        }
        // Behind it lies what is in a pipe, and what was copied behind that.
        guard !isTLS, connections[connection].pipe >= 0 else { return }
        emptyPipe(connection)
        if connections[connection].pipe < 0, !connections[connection].outgoing.isEmpty { offerUnsent(connection) }
    }

    /// Closes the descriptor if nothing is under way on it.
    @_noLocks
    mutating func finishClose(_ connection: Int32) {
        let record = connections[connection]
        // What has been closed in the middle of an event is met again at its end.
        guard record.client.fd >= 0, record.isClosing, !record.isInKernel else { return }
        if record.resetsOnClose { Sockets.resetOnClose(record.client.fd) }
        ring.close(record.client.fd, Token(kind: Operation.aside, generation: 0, index: connection))
        books.removeConnection()
        forget(connection)
    }

    /// The connection has been closed, or handed over. Its record stays until no event can be at it any more, so that
    /// whoever was in the middle of something finds that it is closing.
    @_noLocks
    mutating func forget(_ connection: Int32) {
        dropKept(connection)
        if connections[connection].isClosing {
            memory.closingBytes -= connections[connection].outgoing.count + connections[connection].sealed.count
        }
        pool.clear(&connections[connection].received)
        pool.clear(&connections[connection].outgoing)
        pool.clear(&connections[connection].sealed)
        tls.free(connections[connection].client.tls)
        connections[connection].client.tls = TLSState()
        connections[connection].end()
        assert(exchanges[connection].kept.isEmpty, "rule 20: nothing is kept of who has gone")
        connectionLinks.append(connection, to: &queues.ended)
    }

    /// The slots of those that have ended in this turn are free. Between two events, when nobody holds their numbers.
    @_noLocks
    mutating func freeEnded() {
        guard !queues.ended.isEmpty else { return }
        while true {
            let connection = connectionLinks.removeFirst(from: &queues.ended)
            guard connection >= 0 else { break }
            assert(!connections[connection].isInKernel, "rule 4: a slot is freed when the ring holds nothing of it")
            timers.cancel(connection)
            queues.forget(connection: connection)
            exchanges.vacate(connection)
            connections.remove(connection)
        }
        books.set(.connections, to: connections.count)
        accepting.hasFreedSlot = true
    }
}
