import Exchanges
import Memory
import Reactor

// What becomes of clients, in figures. The control thread makes lines of the log of them, once a second; here nothing
// is done but to add to a word, and to ring once a second.
extension Worker {
    /// Adds to a figure of the connection's listener. Failures are told of within a second.
    @_noLocks
    mutating func count(_ counter: ListenerCounter, _ connection: Int32) {
        let generation = connections[connection].client.listenerGeneration
        count(counter, ofListener: connections[connection].client.listener, generation: generation)
        countAtRoute(counter, connection)
    }

    /// The same for a client that has no record.
    @_noLocks
    mutating func count(_ counter: ListenerCounter, ofListener listener: Int32, generation: UInt32) {
        // What the end of the reactor does to connections is one thing, and is counted as that.
        guard !isStopped else { return }
        add(counter, ofListener: listener, generation: generation)
    }

    private mutating func add(_ counter: ListenerCounter, ofListener listener: Int32, generation: UInt32) {
        assert(listener >= 0 && Int(listener) < limits.listeners, "a client has come to a listener")
        let isOpen = accepting.listeners[listener].generation == generation
        let slot = isOpen ? Int(listener) : limits.listeners
        books.bump(counter, ofSlot: slot)
        guard counter.isFailure else { return }
        books.bump(ListenerCounter.failures, ofSlot: slot)
        books.bump(.failed)
        books.ringOnceASecond(now: now)
    }

    /// The reactor stops, and the connections that are left end with the process.
    mutating func countCutOff() {
        countParked()
        for connection in 0..<Int32(connections.touched) where connections.isTaken(connection) {
            let record = connections[connection]
            guard !record.isClosing, let why = reasonOfEnd(connection) else { continue }
            add(why, ofListener: record.client.listener, generation: record.client.listenerGeneration)
            guard record.isShaking else { continue }
            books.bump(.handshakesFailed)
            books.bump(why.handshakes)
        }
    }

    /// The same for those that had no slot yet.
    @_noLocks
    private mutating func countParked() {
        for offset in 0..<accepting.parked.count {
            let client = accepting.parked[offset]
            add(.cutDrained, ofListener: client.listener, generation: client.generation)
        }
    }

    /// What the end of the reactor means for a client. Nil: it has had all, and only has not closed its end yet.
    private func reasonOfEnd(_ connection: Int32) -> ListenerCounter? {
        let record = connections[connection]
        if record.isShaking { return .handshakeDrained }
        if case .http = record.client.mode, record.finishSent, !record.hasUnsent { return nil }
        return silenceEnd(connection) == nil || Sockets.hasBytes(record.client.fd) ? .cutDrained : .endedByDrain
    }
}
