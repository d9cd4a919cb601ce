import Exchanges
import Memory
import Routing

extension Worker {
    @_noLocks
    func isWaiting(_ connection: Int32) -> Bool {
        if case .none = exchanges[connection].wait { return false }
        return true
    }

    /// It has had to wait for a session and has not got one since.
    @_noLocks @inline(__always)
    func hasWaited(_ connection: Int32) -> Bool {
        exchanges[connection].isPatient && patience[connection].waitedSince > 0
    }

    /// When it first had to wait, or its first attempt came to nothing; 0: neither.
    @_noLocks @inline(__always)
    func patienceSince(_ connection: Int32) -> UInt64 {
        exchanges[connection].isPatient ? patience[connection].patienceSince : 0
    }

    /// From now on it has one hold, unless it has begun already.
    @_noLocks
    mutating func beginPatience(_ connection: Int32) {
        if !exchanges[connection].isPatient { patience[connection] = Patience() }
        exchanges[connection].isPatient = true
        if patience[connection].patienceSince == 0 { patience[connection].patienceSince = now }
    }

    /// It waits no more, and what comes next has not waited.
    @_noLocks
    mutating func endPatience(_ connection: Int32) {
        stopWaiting(connection)
        if hasWaited(connection) { endWait(connection) }
    }

    /// The wait of the connection is over, however.
    @_noLocks @inline(never)
    mutating func endWait(_ connection: Int32) {
        noteWaited(since: patience[connection].waitedSince, slot: exchanges[connection].measure.slot)
        patience[connection].waitedSince = 0
    }

    /// It waits for a route that nobody has registered.
    private func isUnrouted(_ connection: Int32) -> Bool {
        guard case .route = exchanges[connection].wait, case .unknown = patience[connection].route else { return false }
        return true
    }

    /// The route has no session: the client waits, with what it has said, until one comes or the time is over.
    @_noLocks
    mutating func waitForRoute(_ connection: Int32, _ route: SoughtRoute) {
        assert(!isWaiting(connection), "rule 21: a connection waits once")
        guard !isDraining else { return turnAway(connection, .refusedDraining) }
        guard enterWait(connection, route) else { return }
        exchanges[connection].wait = .route
        connectionLinks.append(connection, to: &waiting.forRoute)
        books.set(.waiting, to: Int(waiting.forRoute.count))
        scheduleWait(connection)
    }

    /// All sessions of the route have as many unaccepted streams as they may have: the client waits for this one.
    @_noLocks
    mutating func waitForSession(_ connection: Int32, _ session: Int32) {
        assert(!isWaiting(connection), "rule 21: a connection waits once")
        guard enterWait(connection, .known(sessions[session].route)) else { return }
        exchanges[connection].wait = .session
        exchanges[connection].session = session
        // Who waits for it can see when others like it come.
        if sessions[session].waiters.isEmpty {
            sessions[session].waiters.routeSessions = sessionsOfRoute(sessions[session].route)
        }
        if exchanges[connection].state.past.attempts.areDoubtful {
            connectionLinks.append(connection, to: &sessions[session].waiters.doubtful)
        } else {
            connectionLinks.append(connection, to: &sessions[session].waiters.openers)
        }
        waiting.forSessions += 1
        scheduleWait(connection)
        scheduleTick(session)
    }

    /// Makes room for a wait. False: there are too many, and the client has been told.
    private mutating func enterWait(_ connection: Int32, _ route: SoughtRoute) -> Bool {
        assert(!exchanges[connection].half.exists, "rule 21: who waits has no stream")
        if case .http = connections[connection].client.mode { exchanges[connection].state.beginWait() }
        if exchanges[connection].countsAsWaiting {
            moveShare(connection, to: route)
            return true
        }
        let listener = Int(connections[connection].client.listener)
        let place = HoldShares.place(of: route, listener: listener)
        // Who was let in before is not turned away because it goes on waiting on another reactor.
        let isNew = !hasWaited(connection)
        if isNew {
            guard enter(connection, 1, waiting.clients, place: place, .refusedHoldLimit) else {
                turnAway(connection, .refusedHoldLimit)
                return false
            }
        } else {
            waiting.clients.enterAgain(1, place: place, listener: listener)
        }
        exchanges[connection].countsAsWaiting = true
        beginPatience(connection)
        patience[connection].route = route
        if isNew {
            patience[connection].waitedSince = now
            exchanges[connection].state.past.phaseSince = now
            books.bump(.held)
            count(.held, connection)
        }
        return countWaitingBytes(connection)
    }

    /// It goes on waiting, perhaps for another route: one that nobody knew has been registered.
    private mutating func moveShare(_ connection: Int32, to route: SoughtRoute) {
        assert(exchanges[connection].countsAsWaiting, "rule 22: only who is counted is counted elsewhere")
        let listener = Int(connections[connection].client.listener)
        let bytes = patience[connection].waitingBytes
        let before = sharePlace(connection)
        patience[connection].route = route
        let after = sharePlace(connection)
        guard before != after else { return }
        waiting.move(bytes: bytes, from: before, to: after, listener: listener)
    }

    /// Where the share of the route that the connection waits for is counted.
    @_noLocks
    func sharePlace(_ connection: Int32) -> Int {
        HoldShares.place(of: patience[connection].route, listener: Int(connections[connection].client.listener))
    }

    /// What a waiting client has said counts too. False: it is too much with what others have said, and the client has
    /// been told.
    @_noLocks
    mutating func countWaitingBytes(_ connection: Int32) -> Bool {
        guard exchanges[connection].countsAsWaiting else { return true }
        let more = connections[connection].received.count - patience[connection].waitingBytes
        guard more > 0 else { return true }
        guard enter(connection, UInt64(more), waiting.bytes, place: sharePlace(connection), .refusedHoldBytes) else {
            turnAway(connection, .refusedHoldBytes)
            return false
        }
        patience[connection].waitingBytes += more
        return true
    }

    /// Too many wait, or the proxy ends: come back later.
    @_noLocks
    mutating func turnAway(_ connection: Int32, _ why: ListenerCounter) {
        assert(!connections[connection].isClosing, "rule 4: who has gone is not turned away")
        books.bump(.refused)
        count(.refused, connection)
        refuse(connection, why)
    }

    private mutating func scheduleWait(_ connection: Int32) {
        schedule(connection, at: waitDeadline(connection))
    }

    @_noLocks
    func waitDeadline(_ connection: Int32) -> UInt64 {
        // However often it is sent again, nobody waits longer than one hold.
        let since = patience[connection].patienceSince
        if isUnrouted(connection) { return limits.graceEnd }
        return since + limits.hold
    }

    /// Takes the connection out of its wait, if it is in one; it may enter another.
    private mutating func leaveList(_ connection: Int32) {
        switch exchanges[connection].wait {
        case .none: return
        case .route:
            connectionLinks.remove(connection, from: &waiting.forRoute)
            books.set(.waiting, to: Int(waiting.forRoute.count))
        case .session:
            let session = exchanges[connection].session
            if exchanges[connection].state.past.attempts.areDoubtful {
                connectionLinks.remove(connection, from: &sessions[session].waiters.doubtful)
            } else {
                connectionLinks.remove(connection, from: &sessions[session].waiters.openers)
            }
            waiting.forSessions -= 1
        }
        exchanges[connection].wait = .none
    }

    /// The connection does not wait here any more: it is served, refused, or goes on waiting elsewhere.
    @_noLocks
    mutating func stopWaiting(_ connection: Int32) {
        leaveList(connection)
        guard exchanges[connection].countsAsWaiting else { return }
        exchanges[connection].countsAsWaiting = false
        let listener = Int(connections[connection].client.listener)
        let place = sharePlace(connection)
        assert(exchanges[connection].isPatient, "rule 22: who is counted has had to wait")
        waiting.leave(bytes: patience[connection].waitingBytes, place: place, listener: listener)
        patience[connection].waitingBytes = 0
    }

    /// The session serves the connection from now on.
    @_noLocks
    mutating func beginService(_ connection: Int32, _ session: Int32) {
        assert(exchanges[connection].half.exists, "rule 29: who is served has a half that serves it")
        let hasWaited = hasWaited(connection)
        let mayKill = exchanges[connection].state.past.attempts.mayKill
        if hasWaited || mayKill { notePaced(connection, hasWaited: hasWaited, mayKill: mayKill) }
        if hasWaited {
            books.bump(.released)
            count(.released, connection)
        }
        noteGiven(connection)
        endPatience(connection)
        exchanges[connection].session = session
        // The time of the wait is not the service's.
        exchanges[connection].state.past.phaseSince = now
        exchanges[connection].state.lastProgress = now
    }

    /// A new snapshot: whoever waits is looked at again, oldest first. Those that wait for a session may find that a
    /// sibling of it has come.
    @_noLocks
    mutating func routeWaiting() {
        takeBackFromAllDraining()
        // What may be deadly comes behind all others.
        if routeWaiting(thatAreDoubtful: false) { _ = routeWaiting(thatAreDoubtful: true) }
        // Most often nobody does, and the sessions' records need not be looked at.
        guard waiting.forSessions > 0 else { return }
        for session in 0..<Int32(limits.sessions) where !sessions[session].waiters.isEmpty {
            let shape = sessionsOfRoute(sessions[session].route)
            guard shape != sessions[session].waiters.routeSessions else { continue }
            sessions[session].waiters.routeSessions = shape
            routeOpenersAnew(session)
        }
    }

    /// Looks again at those who wait for a route, if their attempts are doubtful or are not. The others keep their
    /// order. True: there are others.
    private mutating func routeWaiting(thatAreDoubtful: Bool) -> Bool {
        var hasOthers = false
        var left = waiting.forRoute.count
        while left > 0, let connection = Optional(waiting.forRoute.first), connection >= 0 {
            left -= 1
            if exchanges[connection].state.past.attempts.areDoubtful == thatAreDoubtful {
                leaveList(connection)
                exchanges[connection].state.past.handOvers = 0
                // Its route is gone: its time is over. (One that nobody had registered is looked for anew.)
                if case .known(let route) = patience[connection].route, snapshot.route(withID: route) < 0 {
                    expireWait(connection)
                } else {
                    routeAgain(connection)
                }
            } else {
                hasOthers = true
                connectionLinks.remove(connection, from: &waiting.forRoute)
                connectionLinks.append(connection, to: &waiting.forRoute)
            }
        }
        return hasOthers
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
        var left = sessions[session].waiters.openers.count
        while left > 0 {
            left -= 1
            let connection = sessions[session].waiters.openers.first
            guard connection >= 0 else { break }
            chooseAnew(connection)
        }
        left = sessions[session].waiters.doubtful.count
        while left > 0 {
            left -= 1
            let connection = sessions[session].waiters.doubtful.first
            guard connection >= 0 else { return }
            chooseAnew(connection)
        }
    }

    private mutating func chooseAnew(_ connection: Int32) {
        leaveList(connection)
        exchanges[connection].state.past.handOvers = 0
        routeAgain(connection)
    }

    /// A session has gone, or can open streams again: those who wait for it are looked at again, as many as it takes.
    @_noLocks
    mutating func routeOpeners(_ session: Int32) {
        guard case .live = sessions[session].phase, !sessions[session].isDraining else {
            return routeOpenersAnew(session)
        }
        var left = sessions[session].waiters.openers.count
        while left > 0, hasPace(session) {
            left -= 1
            let connection = sessions[session].waiters.openers.first
            guard connection >= 0, makeReady(session) || canReuse(session, for: connection) else { return }
            leaveList(connection)
            routeAgain(connection)
        }
        routeDoubtful(session)
    }

    /// Those whose next attempt may be their last, or may be what kills the session, come behind all others, and only
    /// as the session is fit for them.
    private mutating func routeDoubtful(_ session: Int32) {
        var left = sessions[session].waiters.doubtful.count
        while case .live = sessions[session].phase {
            let connection = sessions[session].waiters.doubtful.first
            guard connection >= 0, left > 0 else { return }
            left -= 1
            guard makeReady(session, for: connection) || hasProvenSibling(session) else { return }
            chooseAnew(connection)
        }
    }

    private mutating func routeAgain(_ connection: Int32) {
        switch connections[connection].client.mode {
        case .relay: routeRaw(connection)
        case .http:
            exchanges[connection].state.endWait()
            feedReceived(connection)
        case .undecided: break
        }
        if !connections[connection].isClosing { settle(connection) }
    }

    /// Nobody came in time.
    @_noLocks
    mutating func expireWait(_ connection: Int32) {
        let isUnknown = isUnrouted(connection)
        books.bump(.expired)
        count(.expired, connection)
        endPatience(connection)
        refuse(connection, isUnknown ? .refusedUnrouted : .refusedHoldOver)
    }
}
