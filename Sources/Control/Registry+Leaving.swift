internal import Routing

/// What follows from a session that leaves, or from a hold that ends.
enum RegistryEvent: Equatable {
    /// The route has lost its last session; its clients wait.
    case held(route: RouteName, milliseconds: UInt64)
    /// Nobody came in time; the route is gone. `milliseconds`: how long it was held.
    case expired(route: RouteName, milliseconds: UInt64)
    /// The same, before its time: others need its place.
    case gaveWay(route: RouteName, milliseconds: UInt64, WayGiven)
    /// The listener has no route left: every reactor has to close its socket, and then `listenerIsClosed` is called.
    case close(listener: Int)
}

/// Why a port is not held any longer.
enum WayGiven: Equatable {
    /// The peer has left more ports that nobody has named than one may.
    case share(peer: String)
    /// There are as many listeners as there may be.
    case table
}

extension WayGiven: CustomStringConvertible {
    /// A clause for the log.
    var description: String {
        switch self {
        case .share(let peer): "\(peer) has left more ports that nobody else has asked for than may be held"
        case .table: "another service needs a port and there are as many as there may be"
        }
    }
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
            events += remove(route, now: now) { .expired(route: $0, milliseconds: now - since) }
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
        if bounds.hold == 0 { return remove(route, now: now) { .expired(route: $0, milliseconds: 0) } }
        let held = RegistryEvent.held(route: name(of: route), milliseconds: bounds.hold)
        return [held] + boundShare(of: route.listener, leftBy: sessions[handle]?.peer ?? "", now: now)
    }

    /// A listener may be held altogether now: its peer may leave so many ports that nobody has named, so that one
    /// client that opens ports and goes takes none away from others. The one that is held longest ends.
    private mutating func boundShare(of slot: Int, leftBy peer: String, now: UInt64) -> [RegistryEvent] {
        guard let listener = listeners[slot], listener.routes.values.allSatisfy({ heldRoutes.contains($0) }) else {
            return []
        }
        listeners[slot]?.held = (now, peer)
        guard !listener.isNamed else { return [] }
        let share = listeners.open.filter { !$0.listener.isNamed && $0.listener.held?.by == peer }
        guard share.count > bounds.unnamedHeld, let oldest = Self.longestHeld(share) else { return [] }
        return giveWay(oldest, .share(peer: peer), now: now)
    }

    /// Ends a hold so that a new listener finds a place: of a port that nobody has named, if there is one, and of the
    /// peer that has left most of them. Nothing, if all are in use.
    /// - Parameter hasClients: whether clients wait at a listener.
    mutating func makeRoom(now: UInt64, hasClients: (Int) -> Bool) -> [RegistryEvent] {
        let held = listeners.open.filter { $0.listener.held != nil && !hasClients($0.slot) }
        let unnamed = held.filter { !$0.listener.isNamed }
        let shares = Dictionary(grouping: unnamed.isEmpty ? held : unnamed) { $0.listener.held?.by ?? "" }
        let largest = shares.max { ($0.value.count, $1.key) < ($1.value.count, $0.key) }
        guard let largest, let oldest = Self.longestHeld(largest.value) else { return [] }
        let events = giveWay(oldest, .table, now: now)
        assert(isConsistent)
        return events
    }

    private static func longestHeld(_ share: [(slot: Int, listener: ListenerTable.Listener)]) -> Int? {
        share.min { ($0.listener.held?.since ?? .max, $0.slot) < ($1.listener.held?.since ?? .max, $1.slot) }?.slot
    }

    private mutating func giveWay(_ slot: Int, _ reason: WayGiven, now: UInt64) -> [RegistryEvent] {
        let held = (listeners[slot]?.routes.values.sorted() ?? []).compactMap { routes[$0] }
        return held.flatMap { route in
            remove(route, now: now) {
                .gaveWay(route: $0, milliseconds: now - min(now, route.heldSince ?? now), reason)
            }
        }
    }

    private mutating func remove(
        _ route: RegisteredRoute, now: UInt64, _ event: (RouteName) -> RegistryEvent
    ) -> [RegistryEvent] {
        let removed = event(name(of: route))
        noteChange()
        heldRoutes.remove(route.id)
        routes[route.id] = nil
        figureSlots.giveBack(route.figures, now: now)
        if !route.identities.isEmpty { noteCertificates(on: route.listener) }
        listeners[route.listener]?.routes[route.pattern] = nil
        guard listeners[route.listener]?.routes.isEmpty == true else { return [removed] }
        listeners[route.listener]?.phase = .closing
        listeners[route.listener]?.held = nil
        return [removed, .close(listener: route.listener)]
    }
}
