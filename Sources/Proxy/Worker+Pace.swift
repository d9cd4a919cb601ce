import Memory
import Yamux

// How clients that had to wait are released: not all at once, for the service may have just started. The reactor that
// owns a session counts those of them that the session has not answered yet; wherever they waited, they come here.
extension Worker {
    /// Whether the connection may have a stream of the session now. Who has waited goes at the session's pace; nobody
    /// else overtakes those.
    @_noLocks
    mutating func mayOpen(_ session: Int32, for connection: Int32) -> Bool {
        guard canOpen(session) || canReuse(session, for: connection) else { return false }
        if sessions[session].isOnProbation, sessions[session].state.liveStreams > 0 {
            return false
        }
        if connections[connection].waitedSince > 0 { return hasPace(session) && isFit(session, for: connection) }
        guard sessions[session].openers.isEmpty else { return false }
        return connections[connection].attempts.areNone || isFit(session, for: connection)
    }

    /// Whether one more of those that had to wait may be released to the session.
    @_noLocks
    func hasPace(_ session: Int32) -> Bool {
        if limits.releaseRate > 0 { return sessions[session].releaseDue <= now * 1_000 }
        return sessions[session].pacedStreams < allowance(session)
    }

    /// As many unanswered ones at once as the session has answered so far, and a few to begin with: twice as many after
    /// each round.
    private func allowance(_ session: Int32) -> UInt32 {
        let (sum, isTooLarge) = sessions[session].answered
            .addingReportingOverflow(DataPlaneLimits.firstRelease)
        return isTooLarge ? .max : sum
    }

    /// A client that had to wait has got its stream.
    @_noLocks
    mutating func notePaced(_ stream: Int32, _ session: Int32) {
        streams[stream].isPaced = true
        sessions[session].pacedStreams += 1
        guard limits.releaseRate > 0 else { return }
        // The clock ticks in steps: what a step was late is made up for, what nobody wanted is not saved up.
        let earliest = now * 1_000 - min(now * 1_000, DataPlaneLimits.releaseBurstMicroseconds)
        let start = max(sessions[session].releaseDue, earliest)
        sessions[session].releaseDue = start + 1_000_000 / UInt64(limits.releaseRate)
    }

    /// The session has answered a stream: the beginning of a reply, or the acceptance of a raw connection.
    @_noLocks
    mutating func noteAnswered(_ stream: Int32, _ session: Int32) {
        if !sessions[session].hasAnswered { becomeProven(session) }
        if sessions[session].answered < .max { sessions[session].answered += 1 }
        sessions[session].unansweredSince = 0
        if streams[stream].isSuspect { acquit(stream, session) }
        endPaced(stream, session)
    }

    /// Its first answer. Other reactors prefer it for what is sent again; what they have to know besides goes before
    /// that.
    @inline(never)
    private mutating func becomeProven(_ session: Int32) {
        sessions[session].hasAnswered = true
        if waiting.forSessions > 0 { wakeDoubtful(sessions[session].route) }
        guard !sessions[session].isDraining, !sessions[session].isSlow else { return }
        report(session, SessionWord.make(SessionWord.proven, generation: sessions[session].generation))
    }

    /// Those who wait for a session of the route to prove itself are looked at again.
    private mutating func wakeDoubtful(_ route: UInt32) {
        for session in 0..<Int32(limits.sessions) where !sessions[session].doubtful.isEmpty {
            if sessions[session].route == route { markDirty(session: session) }
        }
    }

    /// What the stream carries has not killed its session, or is over.
    @_noLocks @inline(never)
    mutating func acquit(_ stream: Int32, _ session: Int32) {
        streams[stream].isSuspect = false
        sessions[session].suspects -= 1
        if !sessions[session].doubtful.isEmpty { markDirty(session: session) }
    }

    @_noLocks
    mutating func endPaced(_ stream: Int32, _ session: Int32) {
        guard streams[stream].isPaced else { return }
        streams[stream].isPaced = false
        sessions[session].pacedStreams -= 1
        // Not at once: a reply's head may lie where requests are put together.
        if !sessions[session].openers.isEmpty { markDirty(session: session) }
    }

    /// Services that accept and take their time over the answer: after each second without one the pace doubles
    /// nevertheless.
    @_noLocks
    mutating func raisePace(_ session: Int32) {
        guard !sessions[session].openers.isEmpty, !sessions[session].isSlow, !hasPace(session) else {
            sessions[session].unansweredSince = 0
            return
        }
        if sessions[session].unansweredSince == 0 { sessions[session].unansweredSince = now }
        guard now >= sessions[session].unansweredSince + DataPlaneLimits.sessionTickMilliseconds else { return }
        sessions[session].unansweredSince = now
        let (sum, isTooLarge) = sessions[session].answered.addingReportingOverflow(allowance(session))
        sessions[session].answered = isTooLarge ? .max : sum
    }
}
