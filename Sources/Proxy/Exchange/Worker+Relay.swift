import Memory
import Reactor
import Routing
import Yamux

extension Worker {
    /// A raw connection gets its stream at once: it may be the service that speaks first.
    @_noLocks
    mutating func routeRaw(_ connection: Int32) {
        let found =
            isOrphan(connection) ? -1 : snapshot.rawRoute(listener: Int(connections[connection].client.listener))
        guard found >= 0 else {
            if now < limits.graceEnd { return waitForRoute(connection, .unknown) }
            return close(connection, reset: false, counting: .closedUnrouted)
        }
        switch choose(connection, route: found) {
        case .local(let session): startRelay(connection, session)
        case .remote(let reactor): handOver(connection, to: reactor)
        case .fullSession(let session): waitForSession(connection, session)
        case .nobody: waitForRoute(connection, .known(snapshot.route(found).id))
        }
    }

    private mutating func startRelay(_ connection: Int32, _ session: Int32) {
        let stream = openStream(connection, session)
        guard stream >= 0 else { return close(connection, reset: true, counting: .resetNoRoom) }
        books.bump(.requests)
        beginService(connection, stream)
        timers.cancel(connection)
        connections[connection].isSettled = true
        connections[connection].client.hasServed = true
        exchanges[connection].past.handOvers = 0
        let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        unsafe beginKeeping(connection, none)
        if sessions[session].options.tellsClientAddress { writeClientAddress(connection, stream) }
        if !connections[connection].received.isEmpty { feedReceived(connection) }
        // The client may have said nothing, or the queue of the session have kept even its first bytes back: the
        // service must learn of the stream.
        guard !connections[connection].isClosing, exchanges[connection].stream == stream else { return }
        if !streams[stream].state.isAnnounced { announce(stream) }
        watchRelay(connection)
    }

    /// Passes on bytes of a relay. Returns how many were taken.
    @_noLocks
    mutating func passOn(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        let stream = exchanges[connection].stream
        guard stream >= 0 else { return 0 }
        // The service has ended the stream for good, and nobody reads what the client still says; or its end was said.
        if streams[stream].state.isReset && !streams[stream].isTakenBack || streams[stream].state.finSent {
            return bytes.count
        }
        let count = sendingRoom(connection, wanted: bytes.count)
        guard count > 0 else { return 0 }
        let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        let passed = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
        unsafe writeFrame(stream, passed, none)
        unsafe keepPassed(connection, passed)
        exchanges[connection].lastProgress = now
        return count
    }

    /// Passes the ends of both directions on, each when all bytes before it are out.
    @_noLocks
    mutating func settleRelay(_ connection: Int32) {
        let stream = exchanges[connection].stream
        guard stream >= 0 else { return }
        passClientEnd(connection, stream)
        let record = connections[connection]
        if hasEnded(stream), !record.hasUnsent, !record.isSending, !record.finishSent, saysEnd(connection) {
            connections[connection].ownEnd = .finished
            Sockets.finish(record.client.fd)
        }
        if connections[connection].finishSent, streams[stream].state.finSent {
            return close(connection, reset: false, counting: nil)
        }
        watchRelay(connection)
    }

    /// The service's FIN has come, and all bytes before it.
    private func hasEnded(_ stream: Int32) -> Bool {
        streams[stream].state.finReceived
            && (sessions[streams[stream].session].reading.stream) != stream
    }

    /// A FIN before the service has accepted the stream would never be acknowledged, so it waits for the first frame,
    /// but not for ever.
    private mutating func passClientEnd(_ connection: Int32, _ stream: Int32) {
        let record = connections[connection]
        guard record.clientFinished, record.received.isEmpty, streams[stream].state.canSendFin else { return }
        let due = exchanges[connection].past.phaseSince + DataPlaneLimits.finHoldMilliseconds
        guard !streams[stream].state.isAcknowledged else { return sendFin(stream) }
        guard now >= due else { return schedule(connection, at: due) }
        // A stream with a FIN cannot be taken back.
        if exchanges[connection].isKept, mayBeTakenBack(stream) {
            return schedule(connection, at: now + due - exchanges[connection].past.phaseSince)
        }
        sendFin(stream)
    }

    /// The session has accepted nothing since the stream was opened, and somebody else could.
    private func mayBeTakenBack(_ stream: Int32) -> Bool {
        let session = streams[stream].session
        guard sessions[session].acceptance.last <= streams[stream].openedAt else { return false }
        return hasWillingSibling(session)
    }
}
