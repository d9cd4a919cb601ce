import Exchanges
import Memory

// Sending again what was passed on and has come to nothing. Until the client has heard anything, what it said is kept
// beside what was passed on; put back in front of what it says next, it is routed like everything else.
extension Worker {
    /// The exchange begins: these bytes of the client have been passed on, or nothing yet.
    @_noLocks
    mutating func beginKeeping(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        assert(exchanges[connection].kept.isEmpty, "rule 20: nothing is kept of an exchange that begins")
        exchanges[connection].state.beginAttempt()
        unsafe keepPassed(connection, bytes)
    }

    /// Keeps bytes that have just been passed on, if all before them were kept. What does not fit any more is not
    /// repeatable.
    @_noLocks
    mutating func keepPassed(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        guard exchanges[connection].state.isKept, bytes.count > 0 else { return notePassed(connection, bytes.count) }
        let before = Self.blocks(exchanges[connection].kept.count)
        let size = exchanges[connection].kept.count + bytes.count
        guard size <= DataPlaneLimits.keptBytes, memory.keptBlocks < limits.keptBlocks, !memory.isOverLimit,
            hasEgressBlocks,
            unsafe pool.append(bytes, to: &exchanges[connection].kept, sparing: limits.sparedBlocks)
        else {
            dropKept(connection)
            return notePassed(connection, bytes.count)
        }
        memory.keptBlocks += Self.blocks(size) - before
        checkSparedBlocks()
    }

    /// What was kept is not needed any more: the client has heard of the service, or will never.
    @_noLocks
    mutating func dropKept(_ connection: Int32) {
        exchanges[connection].state.forgetKept()
        guard !exchanges[connection].kept.isEmpty else { return }
        notePassed(connection, exchanges[connection].kept.count)
        memory.keptBlocks -= Self.blocks(exchanges[connection].kept.count)
        pool.clear(&exchanges[connection].kept)
    }

    /// The exchange has ended, well or not: the next one starts afresh.
    @_noLocks
    mutating func endKeeping(_ connection: Int32) {
        dropKept(connection)
        exchanges[connection].state.endAttempts()
        guard exchanges[connection].isPatient else { return }
        patience[connection].patienceSince = 0
        exchanges[connection].isPatient = hasWaited(connection)
    }

    @inline(__always)
    static func blocks(_ count: Int) -> Int { (count + BlockPool.blockBytes - 1) / BlockPool.blockBytes }

    /// Whether anything stands in the way of sending the connection's exchange again.
    @_noLocks
    func obstacle(_ connection: Int32, isUndelivered: Bool) -> Obstacle {
        let since = patienceSince(connection)
        return exchanges[connection].state.obstacle(
            as: connections[connection].client.mode, isUndelivered: isUndelivered,
            isLate: since > 0 && now >= since + limits.hold)
    }

    /// The connection's exchange has come to nothing. It is sent again if that is safe, else its client learns of it.
    /// - Parameters:
    ///   - cause: how, for the figures.
    ///   - isUndelivered: no service has seen anything of it, or ever will.
    @_noLocks
    mutating func loseExchange(_ connection: Int32, _ cause: LossCause, isUndelivered: Bool) {
        judgeLoss(connection, isUndelivered: isUndelivered)
        let obstacle = obstacle(connection, isUndelivered: isUndelivered)
        if exchanges[connection].half.exists { tell(exchanges[connection].session, connection, obstacle) }
        abort(connection)
        if case .none = obstacle { sendAgain(connection, cause) } else { fail(connection, obstacle) }
    }

    /// For the log of the session.
    private func tell(_ session: Int32, _ connection: Int32, _ obstacle: Obstacle) {
        if case .none = obstacle { return SessionTally.increment(&sessions[session].tally.sentAgain) }
        if case .relay = connections[connection].client.mode {
            return SessionTally.increment(&sessions[session].tally.cut)
        }
        if case .replyBegun = obstacle { return SessionTally.increment(&sessions[session].tally.cut) }
        SessionTally.increment(&sessions[session].tally.failed)
    }

    /// Puts the bytes that were passed on in front of those that were not; the end of the turn routes them anew.
    private mutating func sendAgain(_ connection: Int32, _ cause: LossCause) {
        assert(!exchanges[connection].half.exists, "rule 29: what comes again is not served")
        count(.sentAgain, connection)
        books.route(exchanges[connection].measure.slot).bump(cause.counter)
        beginPatience(connection)
        var whole = exchanges[connection].kept
        memory.keptBlocks -= Self.blocks(whole.count)
        exchanges[connection].kept = Chain()
        exchanges[connection].owedCredit = 0
        pool.join(&connections[connection].received, to: &whole)
        connections[connection].received = whole
        connections[connection].isMidHead = false
        exchanges[connection].state.startAnew(now: now)
        schedule(connection, at: now + pollingPeriod)
        queues.servable.append(connection)
    }

    /// It is not sent again: 502 with the reason if the client has heard nothing yet, else its connection ends, so that
    /// nobody takes the reply for complete.
    private mutating func fail(_ connection: Int32, _ obstacle: Obstacle) {
        if case .relay = connections[connection].client.mode { return cutOff(connection, counting: .cut) }
        switch obstacle {
        case .none, .replyBegun: cut(connection, counting: .cut)
        case .mayHaveRun: refuse(connection, .failedMayHaveRun)
        case .notKept: refuse(connection, .failedNotKept)
        case .spent: refuse(connection, .failedSpent)
        }
    }
}
