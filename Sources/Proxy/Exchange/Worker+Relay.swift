import Exchanges
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
        noteRoute(connection, found, as: .relay)
        switch choose(connection, route: found) {
        case .local(let session): startRelay(connection, session)
        case .remote(let reactor): handOver(connection, to: reactor)
        case .fullSession(let session): waitForSession(connection, session)
        case .nobody: waitForRoute(connection, .known(snapshot.route(found).id))
        }
    }

    private mutating func startRelay(_ connection: Int32, _ session: Int32) {
        assert(!isWaiting(connection), "rule 21: who has chosen does not wait")
        guard meet(connection, session) else { return close(connection, reset: true, counting: .resetNoRoom) }
        books.bump(.requests)
        beginService(connection, session)
        timers.cancel(connection)
        connections[connection].isSettled = true
        connections[connection].client.hasServed = true
        exchanges[connection].state.past.handOvers = 0
        let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        unsafe beginKeeping(connection, none)
        if sessions[session].options.tellsClientAddress { writeClientAddress(connection) }
        if !connections[connection].received.isEmpty { feedReceived(connection) }
        // The client may have said nothing, or the queue of the session have kept even its first bytes back: the
        // service must learn of the stream.
        guard !connections[connection].isClosing, exchanges[connection].half.exists else { return }
        announce(connection)
        watchRelay(connection)
    }

    /// Passes on bytes of a relay. Returns how many were taken.
    @_noLocks
    mutating func passOn(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard exchanges[connection].half.exists else { return 0 }
        guard !takesNoMore(connection) else { return bytes.count }
        let count = claimRoom(connection, wanted: bytes.count)
        guard count > 0 else { return 0 }
        let passed = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
        unsafe offer(connection, passed)
        unsafe keepPassed(connection, passed)
        exchanges[connection].state.lastProgress = now
        return count
    }

    /// Passes the ends of both directions on, each when all bytes before it are out.
    @_noLocks
    mutating func settleRelay(_ connection: Int32) {
        assert(!connections[connection].isLeaving, "rule 4: who has gone is left alone")
        guard exchanges[connection].half.exists else { return }
        passClientEnd(connection)
        let record = connections[connection]
        if case .finished = serviceEnd(connection), !record.hasUnsent, !record.isSending, !record.finishSent,
            saysEnd(connection)
        {
            connections[connection].ownEnd = .finished
            Sockets.finish(record.client.fd)
        }
        if connections[connection].finishSent, hasFinished(connection) {
            return close(connection, reset: false, counting: nil)
        }
        watchRelay(connection)
    }

    /// A FIN before the service has accepted the stream would never be acknowledged, so it waits for the first frame,
    /// but not for ever.
    private mutating func passClientEnd(_ connection: Int32) {
        guard clientEndWaits(connection) else { return }
        let due = exchanges[connection].state.endHeldUntil
        guard !isAccepted(connection) else { return finish(connection) }
        guard now >= due else { return schedule(connection, at: due) }
        // What has been told of its end cannot be taken back.
        if exchanges[connection].state.isKept, mayBeTakenBack(connection) {
            return schedule(connection, at: now + Timeouts.finHold)
        }
        finish(connection)
    }

    /// The client has ended its direction, and nothing of it is left to be passed on but the end: that comes behind its
    /// bytes.
    @_noLocks
    func clientEndWaits(_ connection: Int32) -> Bool {
        connections[connection].clientFinished && connections[connection].received.isEmpty && canFinish(connection)
    }
}
