import Memory
import Routing

// Other sessions of a route, here and on other reactors.
extension Worker {
    /// Whether the session's route has another session that takes new streams, here or on another reactor.
    @_noLocks
    func hasWillingSibling(_ session: Int32) -> Bool {
        let route = snapshot.route(withID: sessions[session].route)
        guard route >= 0 else { return false }
        let count = snapshot.route(route).sessionCount
        for place in 0..<count {
            let handle = snapshot.session(route, place)
            let isItself =
                handle.reactor == index && handle.index == Int(session)
                && handle.generation == sessions[session].generation
            if !isItself, isWilling(handle) { return true }
        }
        return false
    }

    /// Whether the session takes new streams as far as can be seen from here. One that its reactor has not adopted yet
    /// does: the adoption comes before whatever we send there.
    @_noLocks
    func isWilling(_ handle: SessionHandle) -> Bool {
        let state = neighbours.state(of: handle)
        return state == SessionWord.live || state == SessionWord.proven || state == 0
    }

    /// It takes new streams, and has answered some already.
    @_noLocks
    func isProven(_ handle: SessionHandle) -> Bool { neighbours.state(of: handle) == SessionWord.proven }

    @_noLocks
    func isSlow(_ handle: SessionHandle) -> Bool { neighbours.state(of: handle) == SessionWord.slow }

    /// Another session of those that the session's clients may have has answered already.
    @_noLocks
    func hasProvenSibling(_ session: Int32) -> Bool {
        let route = snapshot.route(withID: sessions[session].route)
        guard route >= 0 else { return false }
        let count = snapshot.route(route).sessionCount
        for place in 0..<min(count, Self.sessionsLookedAt) {
            let handle = snapshot.session(route, place)
            let isItself = handle.reactor == index && handle.index == Int(session)
            if !isItself, isProven(handle) { return true }
        }
        return false
    }
}
