import Exchanges
import Memory
import Routing
import Yamux

// Who gets an exchange that has come to nothing before. Another program than the one that has just lost it, if there is
// one; a session that has answered already rather than one that has just come.
extension Worker {
    /// What a session has in its favour. 0: it is not to have the exchange.
    @inline(__always)
    private static func rank(isOther: Bool, isProven: Bool) -> Int { 1 + (isOther ? 2 : 0) + (isProven ? 1 : 0) }

    /// Picks a session for an exchange that was passed on before: the one here or elsewhere that has most in its
    /// favour; else one here that it waits for.
    @_noLocks @inline(never)
    mutating func chooseAgain(_ connection: Int32, route: Int32, mine: Range<Int>, count: Int) -> Choice {
        assert(!exchanges[connection].state.past.attempts.areNone, "rule 20: only what came to nothing comes again")
        let local = bestHere(connection, route: route, mine: mine)
        if mine.count < count {
            let other = bestElsewhere(connection, route: route, count: count)
            if other.rank > local.rank { return .remote(reactor: other.reactor) }
        }
        if local.rank > 0 { return .local(session: local.session) }
        let queue = chooseToWaitFor(route: route, mine: mine, isSlow: false)
        if queue >= 0 { return .fullSession(session: queue) }
        return chooseSlow(connection, route: route, mine: mine, count: count)
    }

    private mutating func bestHere(
        _ connection: Int32, route: Int32, mine: Range<Int>
    ) -> (session: Int32, rank: Int) {
        var best = (session: Int32(-1), rank: 0)
        let looks = min(mine.count, Self.sessionsLookedAt)
        guard looks > 0 else { return best }
        let start = choosing.any(of: mine.count)
        for step in 0..<looks {
            let session = localSession(route, mine.lowerBound + (start + step) % mine.count)
            guard makeReadyIfWilling(session, for: connection) else { continue }
            let isOther = sessions[session].standing.program != exchanges[connection].state.past.loser
            let rank = Self.rank(isOther: isOther, isProven: sessions[session].standing.hasAnswered)
            guard rank >= best.rank else { continue }
            let isFuller =
                best.session >= 0
                && sessions[session].streams.all.count >= sessions[best.session].streams.all.count
            if rank == best.rank, isFuller { continue }
            best = (session, rank)
        }
        return best
    }

    /// The reactor with the best session elsewhere. Who has been handed over twice without service stays.
    private mutating func bestElsewhere(
        _ connection: Int32, route: Int32, count: Int
    ) -> (reactor: Int, rank: Int) {
        var best = (reactor: -1, rank: 0)
        guard exchanges[connection].state.past.handOvers < 2 else { return best }
        var fewest = UInt64.max
        let start = choosing.any(of: count)
        let looks = min(count, Self.reactorsLookedAt)
        for step in 0..<looks {
            let handle = snapshot.session(route, (start + step * count / looks) % count)
            guard handle.reactor != index, isWilling(handle) else { continue }
            let isOther = neighbours.program(of: handle) != exchanges[connection].state.past.loser
            let rank = Self.rank(isOther: isOther, isProven: isProven(handle))
            let load = neighbours.connectionCount(of: handle.reactor)
            guard rank > best.rank || rank == best.rank && load < fewest else { continue }
            best = (handle.reactor, rank)
            fewest = load
        }
        return best
    }

    /// Sessions here that are looked at for an exchange that comes again.
    static var sessionsLookedAt: Int { @_noLocks get { 64 } }

    /// Whether the session may have the connection's exchange, as far as that depends on what became of it before. Such
    /// a session has lived for a moment, for those that die as soon as they have come would only use the attempts up.
    /// A last attempt is for one that has answered already. What may be deadly comes when nobody else waits, and as the
    /// only one of its kind; to a session that nobody knows all alone.
    @_noLocks
    func isFit(_ session: Int32, for connection: Int32) -> Bool {
        let attempts = exchanges[connection].state.past.attempts
        guard attempts.areDoubtful else { return true }
        guard sessions[session].waiters.openers.isEmpty,
            now >= sessions[session].standing.adoptedAt + probation(session, connection)
        else { return false }
        if sessions[session].standing.hasAnswered {
            return !attempts.mayKill || sessions[session].standing.suspects == 0
        }
        return sessions[session].streams.all.count == sessions[session].streams.unusedCount
    }

    /// How long the session must have lived. For a last attempt one that has not answered must have lived for longer.
    /// Who has waited for long takes what there is: where none lives for so long, nothing else is to come.
    private func probation(_ session: Int32, _ connection: Int32) -> UInt64 {
        let waited = now - min(now, patienceSince(connection))
        if waited >= min(limits.hold / 2, DataPlaneLimits.impatienceMilliseconds) { return 0 }
        guard exchanges[connection].state.past.attempts.areLast else {
            let isLate = waited >= DataPlaneLimits.steadyMilliseconds
            return isLate ? DataPlaneLimits.hastyMilliseconds : DataPlaneLimits.settledMilliseconds
        }
        let hasAnswered = sessions[session].standing.hasAnswered
        return hasAnswered ? 2 * DataPlaneLimits.settledMilliseconds : DataPlaneLimits.steadyMilliseconds
    }

    /// What the loss of the attempt under way says about the exchange.
    @_noLocks
    mutating func judgeLoss(_ connection: Int32, isUndelivered: Bool) {
        guard exchanges[connection].half.exists else { return }
        let session = exchanges[connection].session
        exchanges[connection].state.past.loser = sessions[session].standing.program
        let loss = loss(connection, with: session, isUndelivered: isUndelivered)
        exchanges[connection].state.count(loss)
    }

    private func loss(_ connection: Int32, with session: Int32, isUndelivered: Bool) -> Loss {
        guard !isUndelivered else { return .undelivered }
        if case .live = sessions[session].phase { return isAccepted(connection) ? .byService : .notAccepted }
        guard sessions[session].standing.hasAnswered else { return .withUnproven }
        if sessions[session].standing.lostWithSuspect, !exchanges[connection].state.past.attempts.mayKill {
            return .besideSuspect
        }
        guard now >= sessions[session].standing.adoptedAt + DataPlaneLimits.youthMilliseconds else {
            return .withYoung(isAlone: sessions[session].standing.lostTogether == 1)
        }
        return .withSession
    }
}
