/// Whether a service accepts the streams that it is given. One that does not gets no new ones while a sibling of it
/// does; after a while it is tried again.
struct Acceptance: BitwiseCopyable {
    enum Phase {
        case willing
        /// It has streams that it does not accept: new ones go to its siblings.
        case slow
        /// It is being tried again, with one stream at a time, until it accepts one.
        case onProbation
        /// It has not accepted that one.
        case slowAgain
    }

    private(set) var phase = Phase.willing
    /// How often in a row it was slow, and since when it is.
    private var slowTimes: UInt8 = 0
    private var slowSince: UInt64 = 0
    /// When it accepted a stream, or had none to accept.
    var last: UInt64 = 0
    /// A ping since it became slow, and when that was answered: whether it lives and only does not accept. 0: not yet.
    private(set) var ping: UInt32 = 0
    private(set) var pingAnsweredAt: UInt64 = 0
    /// It has refused streams, and gets none until then.
    var refusedUntil: UInt64 = 0

    @_noLocks
    init() {}

    var isSlow: Bool {
        @_noLocks get {
            switch phase {
            case .slow, .slowAgain: true
            case .willing, .onProbation: false
            }
        }
    }
    var takesOneAtATime: Bool {
        @_noLocks get {
            switch phase {
            case .onProbation, .slowAgain: true
            case .willing, .slow: false
            }
        }
    }

    /// It has accepted a stream. True: it was slow until then.
    @_noLocks
    mutating func accepted(now: UInt64) -> Bool {
        let wasSlow = isSlow
        last = now
        slowTimes = 0
        phase = .willing
        if wasSlow { ping = 0 }
        return wasSlow
    }

    /// - Parameter ping: goes out now; its answer shows that the service lives.
    @_noLocks
    mutating func becomeSlow(ping: UInt32, now: UInt64) {
        assert(!isSlow && ping != 0, "a session becomes slow once, and is asked whether it lives")
        phase = takesOneAtATime ? .slowAgain : .slow
        slowSince = now
        if slowTimes < .max { slowTimes += 1 }
        self.ping = ping
        pingAnsweredAt = 0
    }

    /// The ping has been answered.
    @_noLocks
    mutating func pingAnswered(now: UInt64) { pingAnsweredAt = now }

    /// It has been seen to live for so long, and does not accept.
    @_noLocks
    func livesUnwilling(since milliseconds: UInt64, now: UInt64) -> Bool {
        pingAnsweredAt > 0 && now >= pingAnsweredAt + milliseconds
    }

    /// Whether one that is slow, and lives, has rested for long enough: for longer each time.
    @_noLocks
    func mayBeTried(pause: UInt64, now: UInt64) -> Bool {
        isSlow && pingAnsweredAt > 0 && now >= slowSince + pause << UInt64(min(slowTimes, 4))
    }

    @_noLocks
    mutating func beginProbation(now: UInt64) {
        assert(isSlow, "only one that is slow is tried again")
        phase = .onProbation
        ping = 0
        last = now
    }
}
