internal import Routing

extension Registry {
    /// Whether all tables agree with each other. For assertions: it looks at everything there is.
    var isConsistent: Bool {
        routesAreConsistent && sessionsAreConsistent && listenersAreConsistent
    }

    private var routesAreConsistent: Bool {
        routes.allSatisfy { id, route in
            let listener = listeners[route.listener]
            let isHeld = route.heldSince != nil
            return route.id == id && listener?.routes[route.pattern] == id && listener?.address == route.address
                && listener?.phase == .open && isHeld == route.sessions.isEmpty && isHeld == heldRoutes.contains(id)
                && Set(route.sessions).count == route.sessions.count
                && route.sessions.allSatisfy { sessions[$0]?.phase == .live && sessions[$0]?.route == id }
        } && heldRoutes.allSatisfy { routes[$0] != nil }
    }

    private var sessionsAreConsistent: Bool {
        let living = sessions.values.filter { $0.phase != .gone }.count
        let inUse = slots.reduce(0) { $0 + $1.inUse }
        return living == livingSessions && living <= bounds.sessions && inUse == sessions.count
            && sessions.allSatisfy { handle, session in
                session.handle == handle && handle.reactor < bounds.reactors
                    && (session.phase != .live || routes[session.route]?.sessions.contains(handle) == true)
            }
    }

    private var listenersAreConsistent: Bool {
        listeners.open.allSatisfy { slot, listener in
            let isHeld = !listener.routes.isEmpty && listener.routes.values.allSatisfy { heldRoutes.contains($0) }
            return (!listener.routes.isEmpty || hasChanged) && isHeld == (listener.held != nil)
        }
            && listeners.closing.allSatisfy { $0.listener.routes.isEmpty }
            && listeners.open.flatMap { $0.listener.routes.values }.allSatisfy { routes[$0] != nil }
    }
}
