import Exchanges
import HTTP1
import Memory
import Reactor
import Routing
import TLS

// Clients of listeners that speak TLS. Bytes of the socket are records, which are opened here and then go the way of
// any client's bytes; what is to be sent is sealed just before it goes out.
extension Worker {
    /// Whether what the client sends is records.
    @_noLocks
    func speaksTLS(_ connection: Int32) -> Bool {
        connections[connection].isShaking || connections[connection].client.tls.exists
    }

    // MARK: the handshake

    /// A new client: until it says something there is nothing of TLS but the deadline.
    @_noLocks
    mutating func awaitHello(_ connection: Int32) {
        assert(!speaksTLS(connection), "rule 27: a handshake begins once")
        connections[connection].isShaking = true
        schedule(connection, at: now + limits.timeouts.handshake)
    }

    /// The client's first bytes. False: it does not speak TLS, or says too little to tell.
    private mutating func greet(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard connections[connection].received.isEmpty, unsafe bytes.first == Self.handshakeRecord else {
            unsafe judgePlain(connection, bytes)
            return false
        }
        // What it has to say goes into blocks, too.
        guard pool.hasRoom(for: DataPlaneLimits.handshakeBytes, sparing: limits.sparedBlocks) else {
            handshakeFailed(connection, .handshakeNoMemory)
            return false
        }
        let state = tls.begin()
        guard state.exists else {
            handshakeFailed(connection, .handshakeNoMemory)
            return false
        }
        connections[connection].client.tls = state
        if shaking.count >= max(16, Int32(clamping: limits.handshakes / limits.reactors)) {
            handshakeFailed(shaking.first, .handshakeCrowded)
        }
        connectionLinks.append(connection, to: &shaking)
        books.set(.handshaking, to: Int(shaking.count))
        return true
    }

    /// The type of the record that a hello comes in (RFC 8446 §5.1).
    private static var handshakeRecord: UInt8 { @_noLocks get { 22 } }

    /// A request without TLS gets a sentence that says so, everything else an end.
    private mutating func judgePlain(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        guard unsafe pool.append(bytes, to: &connections[connection].received, sparing: limits.sparedBlocks)
        else {
            return close(connection, reset: true, counting: .handshakeNoMemory)
        }
        let count = unsafe pool.copy(connections[connection].received, to: scratch.assembly)
        switch unsafe RequestSniffer.judge(scratch.assembly.first(count)) {
        case .undecided: break
        case .notHTTP: handshakeFailed(connection, .handshakeNoTLS)
        case .http:
            books.bump(.handshakesOfNoTLS)
            books.bump(.handshakesFailed)
            leaveHandshake(connection)
            _ = unsafe scratch.requestHead.scan(scratch.assembly.first(count), limits: headLimits)
            exchanges[connection].state.method = scratch.requestHead.method
            refuse(connection, .refusedPlain)
        }
    }

    /// Goes on with the handshake. False: it is not done.
    private mutating func shake(_ connection: Int32, _ input: inout UnsafeRawBufferPointer) -> Bool {
        if !connections[connection].client.tls.exists {
            guard unsafe greet(connection, input) else { return false }
        }
        let view = listenerView(of: connection)
        let certificates = TLSTableReference(address: view.certificates)
        guard certificates.exists else {
            handshakeFailed(connection, .handshakeNoCertificate)
            return false
        }
        let result = unsafe tls.shake(
            connections[connection].client.tls, input: &input, table: certificates,
            isHTTP: view.hasHTTP && !view.hasRaw,
            output: &connections[connection].sealed)
        switch result.outcome {
        case .done:
            handshakeDone(connection)
            return !connections[connection].isClosing
        case .more: if !connections[connection].sealed.isEmpty { markDirty(connection: connection) }
        case .ended: handshakeFailed(connection, .handshakeLeft)
        case .failed: handshakeFailed(connection, reason(of: result.failure))
        }
        return false
    }

    private func reason(of failure: TLSFailure) -> ListenerCounter {
        switch failure {
        case .version: .handshakeNoVersion
        case .cipher: .handshakeNoSuite
        case .applicationProtocol: .handshakeNoProtocol
        case .alert: .handshakeGivenUp
        case .notTLS, .http: .handshakeNoTLS
        case .broken: .handshakeBroken
        case .output, .memory: .handshakeNoMemory
        }
    }

    private mutating func handshakeDone(_ connection: Int32) {
        assert(connections[connection].isShaking, "rule 27: a handshake that is done was under way")
        leaveHandshake(connection)
        books.bump(.handshakes)
        let facts = tls.facts(connections[connection].client.tls)
        if facts.isResumed { books.bump(.resumed) }
        // At 1.2 the last word is ours. At 1.3 it is the client's, and a ticket goes out with the first bytes for it.
        if !connections[connection].sealed.isEmpty { markDirty(connection: connection) }
        exchanges[connection].state.past.phaseSince = now
        beginTraffic(connection)
    }

    /// What BoringSSL has to say about it goes out, and the connection ends.
    private mutating func handshakeFailed(_ connection: Int32, _ why: ListenerCounter) {
        close(connection, reset: false, counting: why)
    }

    /// Its time is over, or the proxy ends and does not wait for so long.
    @_noLocks
    mutating func handshakeExpired(_ connection: Int32) {
        let isLate = now >= exchanges[connection].state.past.phaseSince + limits.timeouts.handshake
        handshakeFailed(connection, isLate ? .handshakeLate : .handshakeDrained)
    }

    /// The connection is closed within its handshake: the one place where failed ones are counted, so that their causes
    /// add up.
    @_noLocks
    mutating func loseHandshake(_ connection: Int32, _ why: ListenerCounter?) {
        assert(connections[connection].isShaking, "rule 27: a handshake fails once")
        let cause = why?.ofHandshake ?? .handshakeLeft
        count(cause, connection)
        books.bump(.handshakesFailed)
        books.bump(cause.handshakes)
        leaveHandshake(connection)
    }

    @_noLocks
    mutating func leaveHandshake(_ connection: Int32) {
        connections[connection].isShaking = false
        guard connections[connection].client.tls.exists else { return }
        connectionLinks.remove(connection, from: &shaking)
        books.set(.handshaking, to: Int(shaking.count))
    }

    // MARK: records of the client

    /// Bytes of the client's socket; they stay where they are only until this returns, and all of them are read: what a
    /// record still lacks lies with BoringSSL. Nothing is written here: what a client has to be answered, a change of
    /// keys, goes out with the next bytes for it.
    @_noLocks
    mutating func tookRecords(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        assert(speaksTLS(connection), "rule 13: records are those of clients that speak TLS")
        noteReceived(connection)
        var input = unsafe bytes
        if connections[connection].isShaking {
            guard unsafe shake(connection, &input) else { return }
        }
        while !connections[connection].isClosing {
            let result = unsafe tls.read(
                connections[connection].client.tls, input: &input, output: &connections[connection].sealed)
            switch result.outcome {
            case .done: unsafe took(connection, tls.bytes(of: result))
            case .more: return
            case .ended: return clientSaidEnd(connection)
            case .failed: return recordsFailed(connection, result.failure)
            }
        }
    }

    /// What BoringSSL has to say about it goes out. A client that says it has had enough is one that leaves.
    private mutating func recordsFailed(_ connection: Int32, _ failure: TLSFailure) {
        switch failure {
        case .alert: close(connection, reset: false, counting: .clientGone)
        case .output, .memory: close(connection, reset: true, counting: .resetNoMemory)
        case .broken, .notTLS, .http, .version, .cipher, .applicationProtocol:
            close(connection, reset: false, counting: .closedBadRecords)
        }
    }

    /// close_notify: the client sends no more, and nothing is missing.
    private mutating func clientSaidEnd(_ connection: Int32) {
        if !connections[connection].clientFinished { clientFinished(connection) }
    }

    /// The client's socket has ended. Without close_notify before it, what ends with the connection is cut short.
    @_noLocks
    mutating func socketFinished(_ connection: Int32) {
        let record = connections[connection]
        if record.isShaking { return handshakeFailed(connection, .handshakeLeft) }
        guard !record.clientFinished else { return }
        switch record.client.mode {
        case .relay, .undecided: clientVanished(connection)
        case .http: clientFinished(connection)
        }
    }

    // MARK: records for the client

    /// Seals what is to be sent, up to a bound: what waits stays plain. False: it could not be.
    @_noLocks
    mutating func seal(_ connection: Int32) -> Bool {
        assert(connections[connection].client.tls.exists, "rule 13: only who speaks TLS is sent records")
        while !connections[connection].outgoing.isEmpty,
            connections[connection].sealed.count < DataPlaneLimits.sealedBytes
        {
            let before = connections[connection].outgoing.count
            let result = tls.writeRecord(
                connections[connection].client.tls, from: &connections[connection].outgoing,
                output: &connections[connection].sealed)
            guard case .done = result.outcome else { return false }
            connections[connection].sealedBytes += before - connections[connection].outgoing.count
        }
        if isLastFlush(connection) { sealEnd(connection) }
        return true
    }

    /// Seals whole records of bytes where they lie, together with what waits, as long as the bound allows. `bytes`
    /// keeps the rest. False: they could not be.
    @_noLocks
    mutating func sealWhole(_ connection: Int32, _ bytes: inout UnsafeRawBufferPointer) -> Bool {
        let size = TLSEngine.recordBytes
        while connections[connection].sealed.count < DataPlaneLimits.sealedBytes {
            let waiting = connections[connection].outgoing.count
            guard waiting < size, waiting + bytes.count >= size else { return true }
            let count = size - waiting
            let record = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
            unsafe bytes = UnsafeRawBufferPointer(rebasing: bytes[count...])
            guard unsafe sealRecord(connection, record) else { return false }
        }
        return true
    }

    /// Seals what waits and these bytes, a record's together.
    private mutating func sealRecord(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        assert(connections[connection].client.tls.exists, "rule 13: only who speaks TLS is sent records")
        let state = connections[connection].client.tls
        let result: TLSResult
        if connections[connection].outgoing.isEmpty {
            result = unsafe tls.write(state, bytes, output: &connections[connection].sealed)
        } else {
            guard unsafe pool.append(bytes, to: &connections[connection].outgoing) else { return false }
            result = tls.writeRecord(
                state, from: &connections[connection].outgoing, output: &connections[connection].sealed)
        }
        connections[connection].sealedBytes += TLSEngine.recordBytes
        if case .done = result.outcome { return true }
        return false
    }

    /// Whether nothing follows what lies sealed: close_notify goes out with it.
    private func isLastFlush(_ connection: Int32) -> Bool {
        let record = connections[connection]
        return endsWithUnsent(connection) && !record.hasSaidEnd && record.outgoing.isEmpty
    }

    private mutating func sealEnd(_ connection: Int32) {
        assert(
            connections[connection].client.tls.exists && !connections[connection].hasSaidEnd,
            "rule 13: the end is said once")
        connections[connection].ownEnd = .said
        _ = tls.finish(connections[connection].client.tls, output: &connections[connection].sealed)
    }

    /// All has been sent and a FIN may follow. False: close_notify goes out first.
    @_noLocks
    mutating func saysEnd(_ connection: Int32) -> Bool {
        guard connections[connection].client.tls.exists, !connections[connection].hasSaidEnd else { return true }
        sealEnd(connection)
        markDirty(connection: connection)
        return connections[connection].sealed.isEmpty
    }

    /// The connection is about to be closed: what TLS has still to say is said now or never, an alert, or close_notify
    /// where nothing is missing.
    @_noLocks
    mutating func sayLastRecords(_ connection: Int32, isReset: Bool) {
        let record = connections[connection]
        guard !record.isSending else { return }
        let isComplete =
            !isReset && record.outgoing.isEmpty && record.sealedBytes == 0 && !tls.isShaking(record.client.tls)
        if isComplete, !record.hasSaidEnd { sealEnd(connection) }
        guard !connections[connection].sealed.isEmpty else { return }
        unsafe Sockets.sendNow(record.client.fd, pool.front(of: connections[connection].sealed))
    }
}
