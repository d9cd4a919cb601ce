internal import Routing

/// What follows from a session that leaves, or from a hold that ends.
enum RegistryEvent: Equatable {
    /// The route has lost its last session; its clients wait.
    case held(route: String, milliseconds: UInt64)
    /// Nobody came in time; the route is gone. `milliseconds`: how long it was held.
    case expired(route: String, milliseconds: UInt64)
    /// The listener has no route left: every reactor has to close its socket, and then `listenerIsClosed` is called.
    case close(listener: Int)
}

extension Registry {
    /// The session takes no new streams, those under way go on.
    mutating func sessionDrains(_ handle: SessionHandle, now: UInt64) -> [RegistryEvent] {
        guard sessions[handle]?.phase == .live else { return [] }
        sessions[handle]?.phase = .draining
        let events = removeFromRoute(handle, now: now)
        assert(isConsistent)
        return events
    }

    /// The session is over. Its slot stays in use until `sessionIsReleased`.
    mutating func sessionIsGone(_ handle: SessionHandle, now: UInt64) -> [RegistryEvent] {
        guard let session = sessions[handle], session.phase != .gone else { return [] }
        sessions[handle]?.phase = .gone
        livingSessions -= 1
        let events = session.phase == .live ? removeFromRoute(handle, now: now) : []
        assert(isConsistent)
        return events
    }

    /// The reactor has let go of the session: its slot can be given out again.
    mutating func sessionIsReleased(_ handle: SessionHandle) {
        guard let session = sessions.removeValue(forKey: handle) else { return }
        precondition(session.phase == .gone, "a session is gone before its slot is free")
        slots[handle.reactor].giveBack(handle.index)
    }

    /// Every reactor has closed its socket: the slot, and the address, can be used again.
    mutating func listenerIsClosed(_ slot: Int) {
        listeners.free(slot)
    }

    /// When the next hold ends, of a route or of a certificate, on the caller's clock.
    var nextExpiry: UInt64? {
        let held = heldRoutes.compactMap { routes[$0]?.heldSince }.min().map { $0 + bounds.hold }
        guard let held, let unused = nextUnusedEnd else { return held ?? nextUnusedEnd }
        return min(held, unused)
    }

    /// Ends every hold that has lasted long enough.
    mutating func expireHolds(now: UInt64) -> [RegistryEvent] {
        endUnused(now: now)
        var events: [RegistryEvent] = []
        for id in heldRoutes.sorted() {
            guard let route = routes[id], let since = route.heldSince, since + bounds.hold <= now else { continue }
            events += remove(route, heldFor: now - since)
        }
        assert(isConsistent)
        return events
    }

    private mutating func removeFromRoute(_ handle: SessionHandle, now: UInt64) -> [RegistryEvent] {
        guard let id = sessions[handle]?.route, var route = routes[id] else {
            preconditionFailure("a session that takes streams has a route")
        }
        noteChange()
        route.sessions.removeAll { $0 == handle }
        leave(sessions[handle]?.identity, of: &route, now: now)
        if route.sessions.isEmpty { route.heldSince = now }
        routes[id] = route
        guard route.sessions.isEmpty else { return [] }
        heldRoutes.insert(id)
        if bounds.hold == 0 { return remove(route, heldFor: 0) }
        return [.held(route: route.description, milliseconds: bounds.hold)]
    }

    private mutating func remove(_ route: RegisteredRoute, heldFor milliseconds: UInt64) -> [RegistryEvent] {
        noteChange()
        heldRoutes.remove(route.id)
        routes[route.id] = nil
        if !route.identities.isEmpty { noteCertificates(on: route.listener) }
        listeners[route.listener]?.routes[route.pattern] = nil
        let expired = RegistryEvent.expired(route: route.description, milliseconds: milliseconds)
        guard listeners[route.listener]?.routes.isEmpty == true else { return [expired] }
        listeners[route.listener]?.phase = .closing
        return [expired, .close(listener: route.listener)]
    }
}
