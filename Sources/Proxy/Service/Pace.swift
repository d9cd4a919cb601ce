/// How fast those who had to wait are released to a session, for the service may have just started: as many unanswered
/// ones at once as it has answered so far, and a few to begin with, so that there are twice as many after each round.
/// Or as `--release-rate` says.
struct Pace: BitwiseCopyable {
    /// Streams that the session has answered; time raises it as well.
    private var answered: UInt32 = 0
    /// Streams of clients that had to wait and that it has not answered yet.
    var streams: UInt32 = 0
    /// Since when those that wait get no answer that would let more of them in; 0: somebody may be released.
    private var unansweredSince: UInt64 = 0
    /// With `--release-rate`: when the next client that waits may be released, in microseconds.
    private(set) var releaseDue: UInt64 = 0

    @_noLocks
    init() {}

    private var allowance: UInt32 {
        @_noLocks get {
            let (sum, isTooLarge) = answered.addingReportingOverflow(DataPlaneLimits.firstRelease)
            return isTooLarge ? .max : sum
        }
    }

    /// Whether one more may be released.
    /// - Parameter rate: so many a second; 0: as fast as the session answers.
    @_noLocks
    func allows(rate: Int, now: UInt64) -> Bool {
        rate > 0 ? releaseDue <= now * 1_000 : streams < allowance
    }

    /// One has been released.
    @_noLocks
    mutating func release(rate: Int, now: UInt64) {
        streams += 1
        guard rate > 0 else { return }
        // The clock ticks in steps: what a step was late is made up for, what nobody wanted is not saved up.
        let earliest = now * 1_000 - min(now * 1_000, DataPlaneLimits.releaseBurstMicroseconds)
        releaseDue = max(releaseDue, earliest) + 1_000_000 / UInt64(rate)
    }

    /// One that was released has been answered, or is over.
    @_noLocks
    mutating func end() {
        precondition(streams > 0, "rule 25: who is released is counted until it is answered, or over")
        streams -= 1
    }

    /// The session has answered a stream, of a client that had to wait or of another one.
    @_noLocks
    mutating func noteAnswered() {
        if answered < .max { answered += 1 }
        unansweredSince = 0
    }

    /// Services that accept and take their time over the answer: after each second without one the pace doubles
    /// nevertheless.
    /// - Parameter isHeldBack: somebody waits, and only the pace keeps it from being released.
    @_noLocks
    mutating func raise(isHeldBack: Bool, now: UInt64) {
        guard isHeldBack else { return unansweredSince = 0 }
        if unansweredSince == 0 { unansweredSince = now }
        guard now >= unansweredSince + DataPlaneLimits.sessionTickMilliseconds else { return }
        unansweredSince = now
        let (sum, isTooLarge) = answered.addingReportingOverflow(allowance)
        answered = isTooLarge ? .max : sum
    }
}
