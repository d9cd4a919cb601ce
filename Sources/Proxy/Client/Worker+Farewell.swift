import Exchanges
import Memory
import Reactor

// How a client that has had its last bytes goes.
extension Worker {
    /// What the client still sends is taken and dropped for a while, or a reset would overtake the reply (RFC 9112
    /// §9.6).
    @_noLocks
    mutating func sayFarewell(_ connection: Int32) {
        assert(
            !connections[connection].isClosing && !connections[connection].hasUnsent,
            "rule 14: all has been sent before the end")
        let record = connections[connection]
        if !record.lingers || !record.finishSent {
            if !record.finishSent { Sockets.finish(record.client.fd) }
            connections[connection].ownEnd = .finished
            connections[connection].linger()
            if case .discarded = exchanges[connection].state.request {} else { discardRest(connection) }
            pool.clear(&connections[connection].received)
            exchanges[connection].state.past.phaseSince = now
            connections[connection].unacknowledged = UInt16.max
            schedule(connection, at: now + min(pollingPeriod, Timeouts.closing))
        }
        guard exchanges[connection].state.requestLeft > 0 else { return }
        if case .idle = record.receive, !queues.starvedConnections.contains(connection) { armReceive(connection) }
    }

    /// What the client still sends is nobody's. It is read, within a bound, so that no reset overtakes its reply.
    @_noLocks
    mutating func discardRest(_ connection: Int32) {
        exchanges[connection].state.discardRequest(atMost: DataPlaneLimits.discardedBytes)
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

    /// Nothing of the client interests any more: it gets what is to be sent, then a FIN, and has a moment to go.
    @_noLocks
    mutating func discard(_ connection: Int32) {
        // What it was to be sent may have ended it.
        guard !connections[connection].isClosing else { return }
        endPatience(connection)
        endKeeping(connection)
        noteEnded(connection)
        pool.clear(&connections[connection].received)
        connections[connection].isMidHead = false
        discardRest(connection)
        exchanges[connection].state.endReply()
        connections[connection].linger()
        exchanges[connection].state.past.phaseSince = now
        schedule(connection, at: now + limits.timeouts.stall)
        markDirty(connection: connection)
    }
}
