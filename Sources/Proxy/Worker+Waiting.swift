import Memory
import Reactor
import Routing

extension Worker {
    @_noLocks
    func isWaiting(_ connection: Int32) -> Bool {
        if case .none = connections[connection].wait { return false }
        return true
    }

    /// The route has no session: the client waits, with what it has said, until one comes or the time is over.
    @_noLocks
    mutating func waitForRoute(_ connection: Int32, _ route: UInt32) {
        guard !isDraining else { return turnAway(connection) }
        guard enterWait(connection) else { return }
        connections[connection].wait = .route
        connections[connection].waitingRoute = route
        connectionLinks.append(connection, to: &waiting)
        set(.waiting, to: Int(waiting.count))
        scheduleWait(connection)
    }

    /// All sessions of the route have as many unaccepted streams as they may have: the client waits for this one.
    @_noLocks
    mutating func waitForSession(_ connection: Int32, _ session: Int32) {
        guard enterWait(connection) else { return }
        connections[connection].wait = .session
        connections[connection].session = session
        noteRoute(of: session)
        unsafe connectionLinks.append(connection, to: &(sessions + Int(session)).pointee.openers)
        waitingForSessions += 1
        scheduleWait(connection)
        scheduleTick(session)
    }

    /// Makes room for a wait. False: there are too many, and the client has been told.
    @_noLocks
    private mutating func enterWait(_ connection: Int32) -> Bool {
        if case .http = connections[connection].mode { connections[connection].request = .waiting }
        if connections[connection].countsAsWaiting { return true }
        let listener = Int(connections[connection].listener)
        // Who was let in before is not turned away because it goes on waiting on another reactor.
        let isNew = connections[connection].waitedSince == 0
        guard waitingOnListener.add(1, at: listener) <= UInt64(limits.holdLimit) || !isNew else {
            _ = waitingOnListener.subtract(1, at: listener)
            turnAway(connection)
            return false
        }
        connections[connection].countsAsWaiting = true
        if isNew {
            connections[connection].waitedSince = now
            connections[connection].phaseSince = now
            if connections[connection].patienceSince == 0 { connections[connection].patienceSince = now }
            bump(.held)
            count(.held, connection)
        }
        return countWaitingBytes(connection)
    }

    /// What a waiting client has said counts too. False: it is too much with what others have said, and the client has
    /// been told.
    @_noLocks
    mutating func countWaitingBytes(_ connection: Int32) -> Bool {
        guard connections[connection].countsAsWaiting else { return true }
        let more = connections[connection].received.count - connections[connection].waitingBytes
        guard more > 0 else { return true }
        let listener = Int(connections[connection].listener)
        connections[connection].waitingBytes += more
        let onListener = waitingBytesOnListener.add(UInt64(more), at: listener)
        let inProcess = totals.add(UInt64(more), at: Self.waitingBytesTotal)
        guard onListener <= UInt64(limits.holdBytes), inProcess <= UInt64(limits.bufferBytes / 2) else {
            turnAway(connection)
            return false
        }
        return true
    }

    private static var waitingBytesTotal: Int { @_noLocks get { 2 } }

    /// Too many wait, or the proxy ends: come back later.
    @_noLocks
    mutating func turnAway(_ connection: Int32) {
        bump(.refused)
        count(.refused, connection)
        refuse(connection, status: 503)
    }

    @_noLocks
    private mutating func scheduleWait(_ connection: Int32) {
        schedule(connection, at: waitDeadline(connection))
    }

    @_noLocks
    func waitDeadline(_ connection: Int32) -> UInt64 {
        // However often it is sent again, nobody waits longer than one hold.
        let since = connections[connection].patienceSince
        if case .route = connections[connection].wait, connections[connection].waitingRoute == Self.unknownRoute {
            return limits.graceEnd
        }
        return since + limits.hold
    }

    /// Takes the connection out of its wait, if it is in one; it may enter another.
    @_noLocks
    private mutating func leaveList(_ connection: Int32) {
        switch connections[connection].wait {
        case .none: return
        case .route:
            connectionLinks.remove(connection, from: &waiting)
            set(.waiting, to: Int(waiting.count))
        case .session:
            let session = Int(connections[connection].session)
            unsafe connectionLinks.remove(connection, from: &(sessions + session).pointee.openers)
            waitingForSessions -= 1
        }
        connections[connection].wait = .none
    }

    /// The connection does not wait here any more: it is served, refused, or goes on waiting elsewhere.
    @_noLocks
    mutating func stopWaiting(_ connection: Int32) {
        leaveList(connection)
        guard connections[connection].countsAsWaiting else { return }
        connections[connection].countsAsWaiting = false
        let listener = Int(connections[connection].listener)
        _ = waitingOnListener.subtract(1, at: listener)
        let bytes = UInt64(connections[connection].waitingBytes)
        connections[connection].waitingBytes = 0
        guard bytes > 0 else { return }
        _ = waitingBytesOnListener.subtract(bytes, at: listener)
        _ = totals.subtract(bytes, at: Self.waitingBytesTotal)
    }

    /// The connection has got a stream.
    @_noLocks
    mutating func beginService(_ connection: Int32, _ stream: Int32) {
        if connections[connection].waitedSince > 0 {
            notePaced(stream, streams[stream].session)
            bump(.released)
            count(.released, connection)
        }
        stopWaiting(connection)
        connections[connection].session = streams[stream].session
        connections[connection].waitedSince = 0
        // The time of the wait is not the service's.
        connections[connection].phaseSince = now
        connections[connection].lastProgress = now
    }

    /// A new snapshot: whoever waits is looked at again, oldest first. Those that wait for a session may find that a
    /// sibling of it has come.
    @_noLocks
    mutating func routeWaiting() {
        takeBackFromAllDraining()
        var left = waiting.count
        while left > 0, let connection = Optional(waiting.first), connection >= 0 {
            left -= 1
            let route = connections[connection].waitingRoute
            leaveList(connection)
            connections[connection].handOvers = 0
            routeAgain(connection, waitedFor: route)
        }
        // Most often nobody does, and the sessions' records need not be looked at.
        guard waitingForSessions > 0 else { return }
        for session in 0..<Int32(limits.sessions) where unsafe !sessions[Int(session)].openers.isEmpty {
            let shape = unsafe sessionsOfRoute(sessions[Int(session)].route)
            guard unsafe shape != sessions[Int(session)].routeSessions else { continue }
            unsafe (sessions + Int(session)).pointee.routeSessions = shape
            routeOpenersAnew(session)
        }
    }

    /// A number that changes when the sessions of the route do.
    @_noLocks
    func sessionsOfRoute(_ id: UInt32) -> UInt64 {
        let route = snapshot.route(withID: id)
        guard route >= 0 else { return 0 }
        var shape: UInt64 = 1
        for place in 0..<snapshot.route(route).sessionCount {
            let handle = snapshot.session(route, place)
            let bits = UInt64(handle.generation) << 32 | UInt64(handle.reactor) << 24 | UInt64(handle.index)
            shape = (shape ^ bits) &* 0x9E37_79B9_7F4A_7C15
        }
        return shape
    }

    /// Those who wait for the session choose anew.
    @_noLocks
    mutating func routeOpenersAnew(_ session: Int32) {
        var left = unsafe sessions[Int(session)].openers.count
        while left > 0 {
            left -= 1
            let connection = unsafe sessions[Int(session)].openers.first
            guard connection >= 0 else { return }
            leaveList(connection)
            connections[connection].handOvers = 0
            routeAgain(connection, waitedFor: Self.noRoute)
        }
    }

    /// A session has gone, or can open streams again: those who wait for it are looked at again, as many as it takes.
    @_noLocks
    mutating func routeOpeners(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        guard case .live = unsafe slot.pointee.phase, unsafe !slot.pointee.isDraining else {
            return routeOpenersAnew(session)
        }
        var left = unsafe slot.pointee.openers.count
        while left > 0, hasPace(session) {
            left -= 1
            let connection = unsafe slot.pointee.openers.first
            guard connection >= 0, canOpen(session) || canReuse(session, for: connection) else { return }
            leaveList(connection)
            routeAgain(connection, waitedFor: Self.noRoute)
        }
    }

    static var noRoute: UInt32 { @_noLocks get { .max - 1 } }

    @_noLocks
    private mutating func routeAgain(_ connection: Int32, waitedFor route: UInt32) {
        // Its route is gone: its time is over. (One that nobody had registered is looked for anew.)
        if route < Self.noRoute, snapshot.route(withID: route) < 0 {
            expireWait(connection)
            return
        }
        switch connections[connection].mode {
        case .relay: routeRaw(connection)
        case .http:
            connections[connection].request = .head
            feedReceived(connection)
        case .undecided: break
        }
        if !connections[connection].isClosing { settle(connection) }
    }

    /// Nobody came in time.
    @_noLocks
    mutating func expireWait(_ connection: Int32) {
        var isUnknown = false
        if case .route = connections[connection].wait {
            isUnknown = connections[connection].waitingRoute == Self.unknownRoute
        }
        stopWaiting(connection)
        bump(.expired)
        count(.expired, connection)
        refuse(connection, status: isUnknown ? 404 : 503)
    }
}
