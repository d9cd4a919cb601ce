import Exchanges
import Memory
import Routing

/// Who serves a connection.
enum Choice {
    case local(session: Int32)
    /// Another reactor owns sessions of the route.
    case remote(reactor: Int)
    /// It has to wait for its turn at this session: too many streams of it are not accepted yet, or others wait.
    case fullSession(session: Int32)
    /// The route is held, or all that the snapshot names are gone.
    case nobody
}

extension Worker {
    /// Picks a session of the route, in this order: one here that takes new streams; a reactor that has one; one here
    /// whose turn the connection has to wait for; one that is slow, here or elsewhere.
    @_noLocks
    mutating func choose(_ connection: Int32, route: Int32) -> Choice {
        assert(
            !exchanges[connection].half.exists && !isWaiting(connection),
            "rule 21: who chooses does not wait, and is not served")
        let count = snapshot.route(route).sessionCount
        guard count > 0 else { return .nobody }
        let mine = snapshot.sessions(route, ofReactor: index)
        if limits.forceHandOver, limits.reactors > 1, exchanges[connection].state.past.handOvers == 0 {
            return .remote(reactor: (index + 1) % limits.reactors)
        }
        guard exchanges[connection].state.past.attempts.areNone else {
            return chooseAgain(connection, route: route, mine: mine, count: count)
        }
        let isAlone = count == mine.count
        if !isAlone, let reactor = spread(connection, route: route, count: count) { return .remote(reactor: reactor) }
        let local = chooseWilling(connection, route: route, mine: mine)
        let queue = local < 0 ? chooseToWaitFor(route: route, mine: mine, isSlow: false) : -1
        // Who can wait here for its turn does not go from reactor to reactor to find everybody waiting.
        if !isAlone, queue < 0 || exchanges[connection].state.past.handOvers == 0 {
            let other = otherReactor(connection, route: route, count: count, takesSlow: false)
            if other >= 0, local < 0 || isMuchLessLoaded(other, than: connection) { return .remote(reactor: other) }
        }
        if local >= 0 { return .local(session: local) }
        if queue >= 0 { return .fullSession(session: queue) }
        return chooseSlow(connection, route: route, mine: mine, count: count)
    }

    /// Who has waited goes to any session of the route, so that all get their part of those who wait. Nil: to one here.
    private mutating func spread(_ connection: Int32, route: Int32, count: Int) -> Int? {
        guard hasWaited(connection), exchanges[connection].state.past.handOvers == 0 else { return nil }
        let start = choosing.any(of: count)
        for step in 0..<min(count, Self.reactorsLookedAt) {
            let handle = snapshot.session(route, (start + step) % count)
            guard isWilling(handle) else { continue }
            guard handle.reactor == index else { return handle.reactor }
            // It stays here.
            exchanges[connection].state.past.handOvers = 1
            return nil
        }
        return nil
    }

    /// Of two picked at random the one with fewer streams; if neither takes new streams, whichever does, or -1.
    private mutating func chooseWilling(_ connection: Int32, route: Int32, mine: Range<Int>) -> Int32 {
        guard !mine.isEmpty else { return -1 }
        let first = localSession(route, mine.lowerBound + choosing.any(of: mine.count))
        let id = snapshot.route(route).id
        let recent = choosing.recent(forRoute: id)
        if mine.count > 1, shares(recent, insteadOf: first, for: connection) { return recent }
        let second = localSession(route, mine.lowerBound + choosing.any(of: mine.count))
        let best = lessLoaded(first, second, for: connection)
        if best >= 0 {
            choosing.note(best, forRoute: id)
            return best
        }
        for place in mine {
            let session = localSession(route, place)
            if makeReadyIfWilling(session, for: connection) { return session }
        }
        return -1
    }

    /// Whether the request goes with others of its turn to the session that has got them: many sessions would cost a
    /// send for each request. It never has more than twice as many streams as another one for it, and nobody is idle.
    private mutating func shares(_ recent: Int32, insteadOf other: Int32, for connection: Int32) -> Bool {
        guard recent >= 0 else { return false }
        // It may have been lost since; its slot is given out again at the beginning of a turn only.
        guard case .live = sessions[recent].phase, makeReadyIfWilling(recent, for: connection) else { return false }
        guard other >= 0 else { return true }
        let count = sessions[other].streams.all.count
        return sessions[recent].streams.all.count <= count + min(count, DataPlaneLimits.sharedRequests)
    }

    /// The session here for which the fewest wait, or -1.
    @_noLocks
    func chooseToWaitFor(route: Int32, mine: Range<Int>, isSlow: Bool) -> Int32 {
        var best = Int32(-1)
        for place in mine {
            let session = localSession(route, place)
            guard session >= 0, !sessions[session].isDraining,
                sessions[session].acceptance.isSlow == isSlow
            else { continue }
            if best < 0 || sessions[session].waiters.count < sessions[best].waiters.count { best = session }
        }
        return best
    }

    /// All sessions of the route are slow, or gone.
    @_noLocks
    mutating func chooseSlow(_ connection: Int32, route: Int32, mine: Range<Int>, count: Int) -> Choice {
        for place in mine {
            let session = localSession(route, place)
            guard session >= 0, !sessions[session].isDraining else { continue }
            if makeReady(session, for: connection) { return .local(session: session) }
        }
        let queue = chooseToWaitFor(route: route, mine: mine, isSlow: true)
        if queue >= 0 { return .fullSession(session: queue) }
        guard count > mine.count else { return .nobody }
        let other = otherReactor(connection, route: route, count: count, takesSlow: true)
        return other >= 0 ? .remote(reactor: other) : .nobody
    }

    /// The session's slot, or -1 if it is gone.
    @_noLocks
    func localSession(_ route: Int32, _ place: Int) -> Int32 {
        let handle = snapshot.session(route, place)
        return isLive(handle) ? Int32(truncatingIfNeeded: handle.index) : -1
    }

    private mutating func lessLoaded(_ first: Int32, _ second: Int32, for connection: Int32) -> Int32 {
        guard makeReadyIfWilling(first, for: connection) else {
            return makeReadyIfWilling(second, for: connection) ? second : -1
        }
        guard makeReadyIfWilling(second, for: connection) else { return first }
        return sessions[first].streams.all.count <= sessions[second].streams.all.count ? first : second
    }

    @_noLocks
    mutating func makeReadyIfWilling(_ session: Int32, for connection: Int32) -> Bool {
        guard session >= 0, !sessions[session].acceptance.isSlow else { return false }
        return makeReady(session, for: connection)
    }

    /// The reactor with the fewest connections of those that own sessions of the route, this one apart; -1: none, or
    /// the connection has been handed over twice without service and waits here until something changes.
    private mutating func otherReactor(_ connection: Int32, route: Int32, count: Int, takesSlow: Bool) -> Int {
        guard exchanges[connection].state.past.handOvers < 2 else { return -1 }
        let start = choosing.any(of: count)
        var best = -1
        var fewest = UInt64.max
        // Sessions are sorted by reactor, so a few are taken from all over the list.
        let looks = min(count, Self.reactorsLookedAt)
        for step in 0..<looks {
            let handle = snapshot.session(route, (start + step * count / looks) % count)
            guard handle.reactor != index, isWilling(handle) || takesSlow && isSlow(handle) else { continue }
            let load = neighbours.connectionCount(of: handle.reactor)
            if load < fewest {
                fewest = load
                best = handle.reactor
            }
        }
        assert(best != index, "a client goes to another reactor")
        return best
    }

    /// Sessions of a route that are looked at for a reactor to go to.
    static var reactorsLookedAt: Int { @_noLocks get { 16 } }

    /// A new connection moves away from a reactor that is 8 connections and 20 % fuller.
    private func isMuchLessLoaded(_ other: Int, than connection: Int32) -> Bool {
        guard !connections[connection].isSettled, exchanges[connection].state.past.handOvers == 0 else { return false }
        let own = UInt64(connections.count)
        return own >= 8 && own * 10 > neighbours.connectionCount(of: other) * 12
    }
}
