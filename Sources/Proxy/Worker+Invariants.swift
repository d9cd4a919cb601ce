import Memory

// What holds at the end of each turn. Debug builds, sanitized ones and the tests look; release builds do not.
extension Worker {
    func checkInvariants() {
        #if DEBUG
        for connection in 0..<Int32(connections.touched) where connections.isTaken(connection) {
            checkConnection(connection)
        }
        for stream in 0..<Int32(streams.touched) where streams.isTaken(stream) { checkStream(stream) }
        for session in 0..<Int32(limits.sessions) { checkSession(session) }
        #endif
    }

    /// Nobody is in a state that nothing will ever end: something of the client is awaited from the kernel, or it
    /// stands in a queue of this thread, or a clock runs for it.
    private func checkConnection(_ connection: Int32) {
        let record = connections[connection]
        let isAwaited = isReceiving(record) || record.isPolling || record.isSending
        guard !record.isClosing else {
            return assert(isAwaited, "a connection is closed as soon as the kernel holds nothing of it")
        }
        let hasClock = timers.isScheduled(connection)
        assert(isAwaited || isQueued(connection) || hasClock, "nothing would ever end the connection")
        if case .relay = record.mode, !record.isHandingOver {
            let isNoticed = isReceiving(record) || record.isPolling || isQueued(connection)
            assert(isNoticed, "a client that vanishes is noticed")
        }
        if isWaiting(connection) { assert(connectionLinks.isLinked(connection) && hasClock, "a wait has an end") }
        if record.stream >= 0 {
            assert(streams.isTaken(record.stream) && streams[record.stream].connection == connection)
        }
    }

    private func isReceiving(_ record: Connection) -> Bool {
        if case .idle = record.receive { return false }
        return true
    }

    private func isQueued(_ connection: Int32) -> Bool {
        dirtyConnections.contains(connection) || servable.contains(connection)
            || starvedConnections.contains(connection)
            || postponed.contains(connection) || connectionLinks.isLinked(connection)
    }

    /// A stream serves somebody, or it stands where the session's tick ends it.
    private func checkStream(_ stream: Int32) {
        let record = streams[stream]
        assert(streamLinks.isLinked(stream), "a stream is in its session's list")
        if record.connection >= 0 {
            assert(connections.isTaken(record.connection) && connections[record.connection].stream == stream)
            assert(!connections[record.connection].isClosing, "who has gone has left its stream")
        } else {
            assert(unusedLinks.isLinked(stream), "a stream without a client is about to end, or idle")
        }
    }

    /// A session is always read, and looked at once a second.
    private func checkSession(_ session: Int32) {
        let slot = sessions[session]
        switch slot.phase {
        case .free: return
        case .ending:
            assert(slot.isReceiving || slot.isPolling || slot.isSending, "a session ends with its last operation")
        case .live:
            let isQueued = splicingReaders.contains(session) || starvedSessions.contains(session)
            assert(slot.isReceiving || slot.isPolling || isQueued, "a session is always read")
            assert(timers.isScheduled(Int32(limits.connections) + session), "a session has a tick")
        }
    }
}
