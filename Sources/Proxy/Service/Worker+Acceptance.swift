import Memory
import Yamux

// Services that accept nothing are slow: what waits in them goes to their siblings.
extension Worker {
    /// Sees whether the session accepts what it is given. Called by its tick.
    @_noLocks
    mutating func watchAcceptance(_ session: Int32) {
        guard !sessions[session].isDraining else { return }
        if sessions[session].state.liveStreams == 0 { return tryAgain(session) }
        guard now >= sessions[session].acceptance.last + DataPlaneLimits.slowMilliseconds else { return }
        if !sessions[session].acceptance.isSlow { becomeSlow(session) }
        guard hasWillingSibling(session) else { return }
        // One that lives and does not accept is asked for everything; one that is silent may be stopped, and answers
        // itself what must not be sent twice when it goes on.
        let isAlive = sessions[session].acceptance.livesUnwilling(since: DataPlaneLimits.slowMilliseconds, now: now)
        let oldest = now - min(now, DataPlaneLimits.slowMilliseconds)
        takeBack(session, openedBefore: oldest, provesDelivery: isAlive, endsSpent: true)
        routeOpenersAnew(session)
    }

    /// A slow session in which nothing waits any more gets new streams again after a while, if it lives.
    @_noLocks
    mutating func tryAgain(_ session: Int32) {
        guard sessions[session].acceptance.mayBeTried(pause: DataPlaneLimits.slowPauseMilliseconds, now: now) else {
            return
        }
        sessions[session].acceptance.beginProbation(now: now)
        reportWilling(session)
    }

    @_noLocks
    mutating func becomeSlow(_ session: Int32) {
        assert(!sessions[session].isDraining, "rule 9: who has said GoAway is not tried again")
        let ping = sessions[session].state.barrierPing()
        sessions[session].acceptance.becomeSlow(ping: ping, now: now)
        writePing(ping, session)
        report(session, SessionWord.make(SessionWord.slow, generation: sessions[session].generation))
    }

    /// The session has accepted a stream.
    @_noLocks
    mutating func noteAcceptance(_ session: Int32) {
        if sessions[session].acceptance.accepted(now: now) { reportWilling(session) }
    }

    @_noLocks
    mutating func reportWilling(_ session: Int32) {
        assert(!sessions[session].acceptance.isSlow, "a session that is slow says so")
        guard !sessions[session].isDraining else { return }
        let state = sessions[session].standing.hasAnswered ? SessionWord.proven : SessionWord.live
        report(session, SessionWord.make(state, generation: sessions[session].generation))
    }

    /// A service that refuses is full, or about to say GoAway: to ask again at once would only use the attempts up.
    @_noLocks
    func pauseAfterRefusal(_ session: Int32) {
        let doublings = UInt64(min(sessions[session].state.refusalsInARow, 6))
        sessions[session].acceptance.refusedUntil = now + (DataPlaneLimits.refusalMilliseconds << doublings)
    }
}
