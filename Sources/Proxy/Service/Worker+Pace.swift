import Exchanges
import Memory
import Yamux

// How clients that had to wait are released: not all at once, for the service may have just started. The reactor that
// owns a session counts those of them that the session has not answered yet; wherever they waited, they come here.
extension Worker {
    /// Whether the connection may have a stream of the session now. Who has waited goes at the session's pace; nobody
    /// else overtakes those.
    @_noLocks
    mutating func makeReady(_ session: Int32, for connection: Int32) -> Bool {
        guard makeReady(session) || canReuse(session, for: connection) else { return false }
        if sessions[session].acceptance.takesOneAtATime, sessions[session].state.liveStreams > 0 {
            return false
        }
        if hasWaited(connection) { return hasPace(session) && isFit(session, for: connection) }
        guard sessions[session].waiters.openers.isEmpty else { return false }
        return exchanges[connection].state.past.attempts.areNone || isFit(session, for: connection)
    }

    /// Whether one more of those that had to wait may be released to the session.
    @_noLocks
    func hasPace(_ session: Int32) -> Bool { sessions[session].pace.allows(rate: limits.releaseRate, now: now) }

    /// A client has got its stream: one that had to wait, or one whose exchange may kill services.
    @_noLocks
    mutating func notePaced(stream: Int32, hasWaited: Bool, mayKill: Bool) {
        assert(!streams[stream].isPaced && !streams[stream].isSuspect, "rule 25: a stream is counted once")
        let session = streams[stream].session
        if mayKill {
            streams[stream].isSuspect = true
            sessions[session].standing.suspects += 1
        }
        guard hasWaited else { return }
        streams[stream].isPaced = true
        sessions[session].pace.release(rate: limits.releaseRate, now: now)
    }

    /// The session has answered a stream: the beginning of a reply, or the acceptance of a raw connection.
    @_noLocks
    mutating func noteAnswered(stream: Int32) {
        let session = streams[stream].session
        if !sessions[session].standing.hasAnswered { becomeProven(session) }
        sessions[session].pace.noteAnswered()
        if streams[stream].isSuspect { acquit(stream, session) }
        endPaced(stream, session)
    }

    /// Its first answer. Other reactors prefer it for what is sent again; what they have to know besides goes before
    /// that.
    @inline(never)
    private mutating func becomeProven(_ session: Int32) {
        sessions[session].standing.hasAnswered = true
        if waiting.forSessions > 0 { wakeDoubtful(sessions[session].route) }
        guard !sessions[session].isDraining, !sessions[session].acceptance.isSlow else { return }
        report(session, SessionWord.make(SessionWord.proven, generation: sessions[session].generation))
    }

    /// Those who wait for a session of the route to prove itself are looked at again.
    private mutating func wakeDoubtful(_ route: UInt32) {
        for session in 0..<Int32(limits.sessions) where !sessions[session].waiters.doubtful.isEmpty {
            if sessions[session].route == route { markDirty(session: session) }
        }
    }

    /// What the stream carries has not killed its session, or is over.
    @_noLocks @inline(never)
    mutating func acquit(_ stream: Int32, _ session: Int32) {
        streams[stream].isSuspect = false
        sessions[session].standing.suspects -= 1
        if !sessions[session].waiters.doubtful.isEmpty { markDirty(session: session) }
    }

    @_noLocks
    mutating func endPaced(_ stream: Int32, _ session: Int32) {
        guard streams[stream].isPaced else { return }
        streams[stream].isPaced = false
        sessions[session].pace.end()
        // Not at once: a reply's head may lie where requests are put together.
        if !sessions[session].waiters.openers.isEmpty { markDirty(session: session) }
    }

    /// Looks whether only the pace keeps somebody waiting. Called by the session's tick.
    @_noLocks
    mutating func raisePace(_ session: Int32) {
        let isWaitedFor = !sessions[session].waiters.openers.isEmpty && !sessions[session].acceptance.isSlow
        sessions[session].pace.raise(isHeldBack: isWaitedFor && !hasPace(session), now: now)
    }
}
