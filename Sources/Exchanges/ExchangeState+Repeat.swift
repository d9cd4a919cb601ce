/// Why an exchange that has come to nothing is not sent again.
public enum Obstacle: UInt8, BitwiseCopyable, Sendable {
    case none
    /// A part of the reply has been passed on.
    case replyBegun
    /// It may have been executed, and may not be executed twice.
    case mayHaveRun
    /// It was too large to be kept, or too much was kept already.
    case notKept
    /// It has been tried often enough, or for as long as anybody waits.
    case spent
}

/// How an attempt was lost.
public enum Loss: BitwiseCopyable, Sendable {
    /// No service has seen anything of it, or ever will.
    case undelivered
    /// With a session that had never answered anything.
    case withUnproven
    /// With a session that had just come; alone, or among others.
    case withYoung(isAlone: Bool)
    /// With a session that another exchange, which may kill services, has probably ended.
    case besideSuspect
    /// With a session that was well.
    case withSession
    /// By a session that lives and had not accepted it.
    case notAccepted
    /// By a session that lives: it has reset what it had accepted.
    case byService
}

// What was passed on is kept until the client has heard of the service, and sent again if that is safe.
extension ExchangeState {
    /// The exchange is passed on: from here on all of it is kept.
    @_noLocks
    public mutating func beginAttempt() {
        assert(!isKept, "rule 20: nothing is kept of an exchange that begins")
        past.attempts.begin()
        isKept = true
        hasHeardInterim = false
    }

    /// What was passed on is not kept any more.
    @_noLocks
    public mutating func forgetKept() { isKept = false }

    /// The exchange has ended, well or not: the next one starts afresh.
    @_noLocks
    public mutating func endAttempts() {
        isKept = false
        past.attempts = Attempts()
        past.loser = 0
    }

    /// The service has taken the exchange on. True: what may not be executed twice is not sent again any more, and what
    /// was kept of it is of no use.
    @_noLocks
    public func isSettledByAcceptance(as mode: ConnectionMode) -> Bool {
        if case .relay = mode { return true }
        return !isIdempotent
    }

    /// Whether anything stands in the way of sending it again.
    /// - Parameters:
    ///   - isUndelivered: no service has seen anything of it, or ever will.
    ///   - isLate: it has been waited for as long as anybody waits.
    @_noLocks
    public func obstacle(as mode: ConnectionMode, isUndelivered: Bool, isLate: Bool) -> Obstacle {
        if hasBegunReply { return .replyBegun }
        if !isUndelivered, isSettledByAcceptance(as: mode) { return .mayHaveRun }
        if hasHeardInterim { return .mayHaveRun }
        guard isKept else { return .notKept }
        return past.attempts.areSpent || isLate ? .spent : .none
    }

    /// What the loss of the attempt under way says about the exchange.
    @_noLocks
    public mutating func count(_ loss: Loss) {
        assert(past.attempts.counted > 0, "rule 20: what is lost has been passed on")
        switch loss {
        case .undelivered, .notAccepted, .besideSuspect: past.attempts.forgive()
        case .withUnproven: past.attempts.loseUnproven()
        case .withYoung(let isAlone): past.attempts.loseYoung(isAlone: isAlone)
        case .withSession, .byService: break
        }
    }

    /// What was passed on of it has come to nothing, and stands in front of what the client says next.
    @_noLocks
    public mutating func startAnew(now: UInt64) {
        assert(isUnanswered || awaitsReply, "rule 20: what the client has heard of is not sent again")
        assert(isKept, "rule 20: what is sent again was kept, all of it")
        isKept = false
        reply = .none
        past.handOvers = 0
        past.phaseSince = now
        lastProgress = now
        // That of a relay has never been anything else: what has become one by its reply is not sent again.
        request = .head
    }
}
