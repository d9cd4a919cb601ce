internal import Registration
internal import Routing
internal import TLS

/// A session that has been given its place.
struct AddedSession: Equatable {
    let handle: SessionHandle
    /// The route that it serves, by its lasting number.
    let route: UInt32
    /// Sessions of equal registrations that were there before.
    let siblings: [SessionHandle]
    /// The route was held for so long, in milliseconds.
    let heldFor: UInt64?
}

extension Registry {
    /// Whether one more session may be added.
    var hasRoomForSession: Bool {
        livingSessions < bounds.sessions && slots.contains { !$0.isFull }
    }

    /// What there is at the address of a registration.
    func listener(for address: PublicAddress) -> ListenerTable.Place {
        listeners.place(for: address)
    }

    /// A slot for a listener that is about to be opened, or nil: there are as many as there may be.
    func freeListenerSlot() -> Int? {
        listeners.freeSlot(limit: bounds.listeners)
    }

    /// The sockets of a listener are open. Returns its generation.
    mutating func openListener(_ address: PublicAddress, slot: Int) -> UInt32 {
        noteChange()
        return listeners.open(address, slot: slot)
    }

    /// Gives a session its reactor and its slot, and adds it to its route, which is made or released by that.
    /// `hasRoomForSession` has to be true.
    /// - Parameters:
    ///   - slot: an open listener's.
    ///   - service: who registers, for the log, and the machine or user that it belongs to.
    ///   - isNamed: it asked for the port by its number.
    ///   - identity: the certificate that it brings.
    mutating func addSession(
        to slot: Int, for pattern: ClientPattern, service: String, peer: String, isNamed: Bool, reusesStreams: Bool,
        identity: Identity? = nil, now: UInt64
    ) -> AddedSession {
        let id = routeID(on: slot, for: pattern)
        if isNamed { listeners[slot]?.isNamed = true }
        listeners[slot]?.held = nil
        guard var route = routes[id] else { preconditionFailure("the route was made just now") }
        let reactor = reactor(forRoute: route)
        guard let place = slots[reactor].take() else { preconditionFailure("there is room") }
        let handle = SessionHandle(reactor: reactor, index: place.index, generation: place.generation)
        let added = AddedSession(
            handle: handle, route: id, siblings: route.sessions, heldFor: route.heldSince.map { now - min($0, now) })
        route.sessions.append(handle)
        route.heldSince = nil
        let ownIdentity = add(identity, to: &route)
        heldRoutes.remove(id)
        routes[id] = route
        sessions[handle] = RegisteredSession(
            handle: handle, route: id, routeName: name(of: route), service: service, peer: peer,
            reusesStreams: reusesStreams, identity: ownIdentity, since: now)
        livingSessions += 1
        noteChange()
        assert(isConsistent)
        return added
    }

    /// The route as the log names it.
    func name(of route: RegisteredRoute) -> RouteName {
        RouteName(
            pattern: route.pattern, address: route.address, isNamed: listeners[route.listener]?.isNamed ?? true)
    }

    private mutating func routeID(on slot: Int, for pattern: ClientPattern) -> UInt32 {
        guard let listener = listeners[slot], listener.phase == .open else {
            preconditionFailure("a session is added to a listener that is not open")
        }
        if let id = listener.routes[pattern] { return id }
        let id = nextRouteID()
        let figures = figureSlots.take(for: FigureOwner(address: listener.address, pattern: pattern))
        routes[id] = RegisteredRoute(
            id: id, pattern: pattern, listener: slot, address: listener.address, figures: figures)
        listeners[slot]?.routes[pattern] = id
        return id
    }

    /// The one with the fewest sessions of the route, then the fewest at all.
    private func reactor(forRoute route: RegisteredRoute) -> Int {
        var ofRoute = [Int](repeating: 0, count: bounds.reactors)
        for handle in route.sessions { ofRoute[handle.reactor] += 1 }
        let candidates = slots.indices.filter { !slots[$0].isFull }
        let best = candidates.min { (ofRoute[$0], slots[$0].inUse, $0) < (ofRoute[$1], slots[$1].inUse, $1) }
        guard let best else { preconditionFailure("there is room") }
        return best
    }
}
