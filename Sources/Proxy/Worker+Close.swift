import Memory
import Reactor
import TLS
import Yamux

extension Worker {
    /// Ends the connection: its stream is reset unless it is over, and the descriptor is closed when the kernel holds
    /// none of our memory for it any more.
    /// - Parameter reset: the client learns by a reset, not by a FIN.
    @_noLocks
    mutating func close(_ connection: Int32, reset: Bool) {
        guard !connections[connection].isClosing else { return }
        if connections[connection].isShaking { leaveHandshake(connection) }
        if connections[connection].tls.exists { sayLastRecords(connection, isReset: reset) }
        stopWaiting(connection)
        leaveStream(connection)
        dropKept(connection)
        connections[connection].isClosing = true
        connections[connection].resetsOnClose = reset
        timers.cancel(connection)
        dropPipe(connection)
        pool.clear(&connections[connection].received)
        let record = connections[connection]
        let aside = Token(kind: Operation.aside, generation: 0, index: connection)
        if case .armed = record.receive { cancelReceive(connection) }
        if record.isSending { ring.cancel(token(Operation.send, connection: connection), aside) }
        if record.isPolling { ring.cancel(token(Operation.poll, connection: connection), aside) }
        finishClose(connection)
    }

    /// Closes the descriptor if nothing is under way on it.
    @_noLocks
    mutating func finishClose(_ connection: Int32) {
        let record = connections[connection]
        // What has been closed in the middle of an event is met again at its end.
        guard record.fd >= 0, record.isClosing, case .idle = record.receive else { return }
        guard !record.isSending, !record.isPolling else { return }
        if record.resetsOnClose { Sockets.resetOnClose(record.fd) }
        ring.close(record.fd, Token(kind: Operation.aside, generation: 0, index: connection))
        _ = totals.subtract(1, at: 0)
        forget(connection)
    }

    /// The slot is free: the connection has been closed, or handed over.
    @_noLocks
    mutating func forget(_ connection: Int32) {
        dropKept(connection)
        pool.clear(&connections[connection].received)
        pool.clear(&connections[connection].outgoing)
        pool.clear(&connections[connection].sealed)
        tls.free(connections[connection].tls)
        timers.cancel(connection)
        dirtyConnections.remove(connection)
        servable.remove(connection)
        starvedConnections.remove(connection)
        postponed.remove(connection)
        // Whoever looks through all slots knows by it that nobody is there.
        connections[connection].fd = -1
        connections.remove(connection)
        set(.connections, to: connections.count)
        hasFreedSlot = true
    }

    /// The process holds more than it may: of the connections here whose bytes nobody takes, the one with most ends.
    @_noLocks
    mutating func resetLargest() {
        var largest = Int32(-1)
        var most = 0
        for connection in 0..<Int32(connections.touched) {
            let record = connections[connection]
            // What lies in a pipe is the kernel's: to give it up would free no block.
            let behind = record.pipe >= 0 ? unsafe behindPipes[Int(record.pipe)].count : 0
            let held =
                record.outgoing.count + record.sealed.count + behind + record.received.count + record.kept.count
            guard record.fd >= 0, !record.isClosing, held > most else { continue }
            guard record.lastProgress + 1_000 < now else { continue }
            most = held
            largest = connection
        }
        guard largest >= 0, most > 0 else { return }
        bump(.resets)
        close(largest, reset: true)
    }
}
