/// How often an exchange was passed on, and what its failures say about it.
///
/// An attempt counts when a service that was well has lost it. One that no service has taken, or that was lost with a
/// session which had never answered anything, says nothing against the exchange: a service that dies as soon as it has
/// come loses whatever it is given. Neither does one that was lost among others by a session that had just come, or
/// beside an exchange that may kill services.
public struct Attempts: BitwiseCopyable, Sendable {
    /// Two bits that count, four that do not, two of sessions lost: there is one for each client.
    private var bits: UInt8 = 0

    /// How many may count, and how many more may not.
    private static var limit: UInt8 { @_noLocks get { 3 } }
    private static var uncountedLimit: UInt8 { @_noLocks get { 8 } }
    /// From so many lost sessions on it may be the exchange that kills them.
    private static var suspicion: UInt8 { @_noLocks get { 2 } }

    @_noLocks
    public init() {}

    /// Those that count, the one under way included.
    public private(set) var counted: UInt8 {
        @_noLocks get { bits & 3 }
        @_noLocks set { bits = bits & ~3 | newValue }
    }

    private(set) var uncounted: UInt8 {
        @_noLocks get { bits >> 2 & 15 }
        @_noLocks set { bits = bits & ~(15 << 2) | newValue << 2 }
    }

    /// Sessions lost with it that had never answered anything; of more than three nobody needs to know. One that had
    /// just come makes it 1 at least.
    private(set) var unproven: UInt8 {
        @_noLocks get { bits >> 6 }
        @_noLocks set { bits = bits & ~(3 << 6) | newValue << 6 }
    }

    /// It has never been passed on.
    public var areNone: Bool { @_noLocks get { bits == 0 } }
    /// It is not passed on again.
    public var areSpent: Bool { @_noLocks get { counted >= Self.limit } }
    /// One more that counts, and it is not passed on again.
    public var areLast: Bool { @_noLocks get { counted == Self.limit - 1 } }
    /// The session that gets it next should have proven itself.
    public var areDoubtful: Bool { @_noLocks get { areLast || unproven > 0 } }
    /// Nothing else is given to a session beside it.
    public var mayKill: Bool { @_noLocks get { unproven >= Self.suspicion } }

    @_noLocks
    public mutating func begin() {
        if counted < Self.limit { counted += 1 }
    }

    /// The attempt under way has come to nothing, through no fault of the exchange.
    @_noLocks
    public mutating func forgive() {
        guard counted > 0, uncounted < Self.uncountedLimit else { return }
        counted -= 1
        uncounted += 1
    }

    /// The attempt under way was lost with a session that had just come.
    /// - Parameter isAlone: nothing else was under way there, so that it may have been this that ended it.
    @_noLocks
    public mutating func loseYoung(isAlone: Bool) {
        unproven = max(1, unproven)
        if !isAlone { forgive() }
    }

    /// The attempt under way was lost with a session that had never answered anything.
    @_noLocks
    public mutating func loseUnproven() {
        if unproven < 3 { unproven += 1 }
        forgive()
    }
}
