import HTTP1
import Memory
import Routing
import Yamux

// Streams that a service has not accepted, and how they come back from it. A stream that we reset, and for which the
// answer to a ping sent behind the reset comes before any other frame of it, was never delivered. Services that accept
// nothing are slow: what waits in them goes to their siblings.
extension Worker {
    /// Takes back every stream that the session has not accepted: what may be executed twice at once, everything else
    /// when the service has shown that nothing of it was delivered.
    /// - Parameters:
    ///   - openedBefore: only those that were opened before that time.
    ///   - provesDelivery: also those for which the service's answer is needed.
    ///   - endsSpent: those that may not be sent again end with what their clients get then.
    @_noLocks
    mutating func takeBack(
        _ session: Int32, openedBefore time: UInt64, provesDelivery: Bool, endsSpent: Bool = false
    ) {
        let slot = unsafe sessions + Int(session)
        var barrier: UInt32?
        var stream = unsafe slot.pointee.streams.first
        while stream >= 0 {
            let next = streamLinks.next(of: stream)
            if mayTakeBack(stream, openedBefore: time, endsSpent: endsSpent) {
                let connection = streams[stream].connection
                if isRepeatable(connection) {
                    count(.takenBack, connection)
                    loseExchange(connection, isUndelivered: false)
                } else if provesDelivery {
                    count(.takenBack, connection)
                    let value = unsafe barrier ?? slot.pointee.state.barrierPing()
                    barrier = value
                    wait(for: value, stream)
                }
            }
            stream = next
        }
        if let barrier { writePing(barrier, session) }
    }

    /// The session has said GoAway. It may still accept what came before that, and its replies are used, until another
    /// session can take what it has not accepted, or until nobody would wait any longer.
    @_noLocks
    mutating func takeBackFromDraining(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        let end = unsafe slot.pointee.goAwayAt + limits.hold
        unsafe slot.pointee.takeBackAt = .max
        guard unsafe slot.pointee.state.liveStreams > 0 else { return }
        if hasWillingSibling(session) {
            takeBack(session, openedBefore: now, provesDelivery: true)
        } else if now >= end {
            endUnaccepted(session)
        } else {
            unsafe slot.pointee.takeBackAt = min(end, now + DataPlaneLimits.sessionTickMilliseconds)
        }
    }

    /// The snapshot is new, and may have a session that can take what others have not accepted.
    @_noLocks
    mutating func takeBackFromAllDraining() {
        guard drainingSessions > 0 else { return }
        for session in 0..<Int32(limits.sessions) {
            guard case .live = unsafe sessions[Int(session)].phase, unsafe sessions[Int(session)].isDraining else {
                continue
            }
            // Those that have just said so keep their moment.
            let slot = unsafe sessions + Int(session)
            guard unsafe now >= slot.pointee.goAwayAt + DataPlaneLimits.goAwayMilliseconds else { continue }
            takeBackFromDraining(session)
            scheduleTick(session)
        }
    }

    /// Nobody has come for what the session has not accepted, and its clients have waited for as long as those that are
    /// held. There is no time left for another attempt, so no proof is waited for.
    @_noLocks
    private mutating func endUnaccepted(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        var stream = unsafe slot.pointee.streams.first
        while stream >= 0 {
            let next = streamLinks.next(of: stream)
            let connection = streams[stream].connection
            let state = streams[stream].state
            if connection >= 0, !state.isAcknowledged, !streams[stream].isTakenBack {
                if isRepeatable(connection) {
                    leaveStream(connection)
                    expireWait(connection)
                } else {
                    loseExchange(connection, isUndelivered: false)
                }
            }
            stream = next
        }
    }

    /// Writes a ping of ours behind everything else, resets included: its answer, or a later one's, shows that all of
    /// it has been read. One that overtook them would prove what is not true.
    @_noLocks
    mutating func writePing(_ value: UInt32, _ session: Int32) {
        writeHeader(FrameHeader.ping(value), session, isControl: false)
    }

    /// Not accepted, and nothing stands in the way of sending its exchange again if it was not delivered.
    @_noLocks
    private func mayTakeBack(_ stream: Int32, openedBefore time: UInt64, endsSpent: Bool) -> Bool {
        let connection = streams[stream].connection
        guard connection >= 0, streams[stream].openedAt <= time else { return false }
        switch obstacle(connection, isUndelivered: true) {
        case .none: break
        case .spent where endsSpent: break
        case .spent, .notKept, .mayHaveRun, .replyBegun: return false
        }
        let state = streams[stream].state
        return state.isAnnounced && !state.isAcknowledged && state.canSendReset && !state.finSent
    }

    @_noLocks
    private func isRepeatable(_ connection: Int32) -> Bool {
        if case .relay = connections[connection].mode { return false }
        return connections[connection].isIdempotent
    }

    /// Resets the stream and keeps it until the service shows what it has seen of it.
    @_noLocks
    private mutating func wait(for barrier: UInt32, _ stream: Int32) {
        let session = streams[stream].session
        let slot = unsafe sessions + Int(session)
        leaveSessionQueue(streams[stream].connection)
        streams[stream].state.sendReset()
        writeHeader(FrameHeader.reset(streams[stream].state.id), session, isControl: false)
        unsafe slot.pointee.state.aborted(streams[stream].state.id)
        streams[stream].isTakenBack = true
        streams[stream].barrier = barrier
        unsafe unusedLinks.append(stream, to: &slot.pointee.takenBack)
    }

    /// A ping of ours has been answered: whatever was taken back before it has never been delivered.
    @_noLocks
    mutating func barrierAnswered(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        // Ids may have waited for it.
        if unsafe !slot.pointee.openers.isEmpty { markDirty(session: session) }
        if unsafe slot.pointee.slowPing != 0, unsafe slot.pointee.slowPingAnsweredAt == 0,
            unsafe slot.pointee.state.isAnswered(slot.pointee.slowPing)
        {
            unsafe slot.pointee.slowPingAnsweredAt = now
        }
        while true {
            let stream = unsafe slot.pointee.takenBack.first
            guard stream >= 0, unsafe slot.pointee.state.isAnswered(streams[stream].barrier) else { return }
            let connection = streams[stream].connection
            if connection >= 0 { loseExchange(connection, isUndelivered: true) } else { free(stream) }
        }
    }

    /// The service had accepted a stream that we took back: it may have seen all of it.
    @_noLocks
    mutating func takenBackTooLate(_ stream: Int32, _ session: Int32) {
        unsafe (sessions + Int(session)).pointee.state.acknowledgedLate(streams[stream].state.id)
        let connection = streams[stream].connection
        if connection >= 0 { loseExchange(connection, isUndelivered: false) } else { free(stream) }
    }

    /// Nothing of the stream has left the process.
    @_noLocks
    func isUnsent(_ stream: Int32) -> Bool {
        let session = unsafe sessions + Int(streams[stream].session)
        return unsafe !streams[stream].state.isAnnounced || streams[stream].firstByte >= session.pointee.loaded
    }

    /// Sees whether the session accepts what it is given. Called by its tick.
    @_noLocks
    mutating func watchAcceptance(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        guard unsafe !slot.pointee.isDraining else { return }
        if unsafe slot.pointee.state.liveStreams == 0 { return tryAgain(session) }
        guard unsafe now >= slot.pointee.lastAcceptance + DataPlaneLimits.slowMilliseconds else { return }
        if unsafe !slot.pointee.isSlow { becomeSlow(session) }
        guard hasWillingSibling(session) else { return }
        // One that lives and does not accept is asked for everything; one that is silent may be stopped, and answers
        // itself what must not be sent twice when it goes on.
        let answeredAt = unsafe slot.pointee.slowPingAnsweredAt
        let isAlive = answeredAt > 0 && now >= answeredAt + DataPlaneLimits.slowMilliseconds
        let oldest = now - min(now, DataPlaneLimits.slowMilliseconds)
        takeBack(session, openedBefore: oldest, provesDelivery: isAlive, endsSpent: true)
        routeOpenersAnew(session)
    }

    /// A slow session in which nothing waits any more gets new streams again after a while, if it lives.
    @_noLocks
    private mutating func tryAgain(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        guard unsafe slot.pointee.isSlow, unsafe slot.pointee.slowPingAnsweredAt > 0 else { return }
        let pause = unsafe DataPlaneLimits.slowPauseMilliseconds << UInt64(min(slot.pointee.slowTimes, 4))
        guard unsafe now >= slot.pointee.slowSince + pause else { return }
        // One stream at a time, until it accepts one.
        unsafe slot.pointee.isOnProbation = true
        becomeWilling(session)
    }

    @_noLocks
    private mutating func becomeSlow(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        unsafe slot.pointee.isSlow = true
        unsafe slot.pointee.slowSince = now
        if unsafe slot.pointee.slowTimes < .max { unsafe slot.pointee.slowTimes += 1 }
        unsafe slot.pointee.slowPing = slot.pointee.state.barrierPing()
        unsafe slot.pointee.slowPingAnsweredAt = 0
        writePing(unsafe slot.pointee.slowPing, session)
        unsafe report(session, SessionWord.make(SessionWord.slow, generation: slot.pointee.generation))
    }

    /// The session has accepted a stream.
    @_noLocks
    mutating func noteAcceptance(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        unsafe slot.pointee.lastAcceptance = now
        unsafe slot.pointee.isOnProbation = false
        unsafe slot.pointee.slowTimes = 0
        if unsafe slot.pointee.isSlow { becomeWilling(session) }
    }

    @_noLocks
    private mutating func becomeWilling(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        unsafe slot.pointee.isSlow = false
        unsafe slot.pointee.slowPing = 0
        unsafe slot.pointee.lastAcceptance = now
        guard unsafe !slot.pointee.isDraining else { return }
        let state = unsafe slot.pointee.hasAnswered ? SessionWord.proven : SessionWord.live
        unsafe report(session, SessionWord.make(state, generation: slot.pointee.generation))
    }

    /// Whether the session's route has another session that takes new streams, here or on another reactor.
    @_noLocks
    func hasWillingSibling(_ session: Int32) -> Bool {
        let slot = unsafe sessions + Int(session)
        let route = unsafe snapshot.route(withID: slot.pointee.route)
        guard route >= 0 else { return false }
        let count = snapshot.route(route).sessionCount
        for place in 0..<count {
            let handle = snapshot.session(route, place)
            let isItself =
                unsafe handle.reactor == index && handle.index == Int(session)
                && handle.generation == slot.pointee.generation
            if !isItself, isWilling(handle) { return true }
        }
        return false
    }

    /// Whether the session takes new streams as far as can be seen from here. One that its reactor has not adopted yet
    /// does: the adoption comes before whatever we send there.
    @_noLocks
    func isWilling(_ handle: SessionHandle) -> Bool {
        let state = visibleState(of: handle)
        return state == SessionWord.live || state == SessionWord.proven || state == 0
    }

    /// It takes new streams, and has answered some already.
    @_noLocks
    func isProven(_ handle: SessionHandle) -> Bool { visibleState(of: handle) == SessionWord.proven }

    @_noLocks
    func isSlow(_ handle: SessionHandle) -> Bool { visibleState(of: handle) == SessionWord.slow }

    /// What the session's reactor says of it; 0: nothing yet.
    @_noLocks
    private func visibleState(of handle: SessionHandle) -> UInt64 {
        guard handle.reactor < limits.reactors, handle.index < limits.sessions else { return SessionWord.gone }
        let word = unsafe peers[handle.reactor].sessionWords.load(handle.index)
        return word >> 32 == UInt64(handle.generation) ? word & 0xFF : 0
    }
}
