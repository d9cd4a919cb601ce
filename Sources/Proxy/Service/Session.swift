import Memory
import Yamux

enum SessionPhase {
    case free
    case live
    /// Lost; its descriptor is closed when its operations have ended.
    case ending
}

/// What a registration has asked for.
public struct SessionOptions: BitwiseCopyable, Sendable {
    /// `reuse-streams`
    public var reusesStreams = false
    /// `client-address`: raw streams begin with the client's address.
    public var tellsClientAddress = false
    /// `loop-marks`: its requests are marked, so that those that come back are known.
    public var marksLoops = false

    @_noLocks
    public init() {}
}

/// A service's connection.
struct Session: BitwiseCopyable {
    var fd: Int32 = -1
    /// Given out by the control thread.
    var generation: UInt32 = 0
    var phase = SessionPhase.free
    var options = SessionOptions()
    /// What serves its clients.
    var kind = ServiceKind.stream
    /// The route that it serves, by its lasting number.
    var route = UInt32.max

    var state: SessionState
    var reading = SessionReading()
    var egress = Egress()
    var acceptance = Acceptance()
    var pace = Pace()
    var standing = Standing()
    var draining = Draining()
    var streams = StreamLists()
    var waiters = SessionWaiters()

    /// How long the service takes to answer a ping.
    var roundTrip = RoundTrip()
    /// What its streams may have under way beyond the window that every stream has.
    var extraCredit: UInt32 = 0
    /// What became of its streams when it was lost.
    var tally = SessionTally()

    @_noLocks
    init(limits: SessionLimits, firstStreamID: UInt32) {
        self.state = SessionState(role: .opener, limits: limits, firstStreamID: firstStreamID)
    }

    /// The service has said GoAway.
    var isDraining: Bool { @_noLocks get { draining.since < .max } }
}

/// The end that a service has announced (GoAway).
struct Draining: BitwiseCopyable {
    /// .max: it has not.
    var since = UInt64.max
    /// When it is looked at next for what it has not accepted of what came before that.
    var takeBackAt = UInt64.max

    @_noLocks
    init() {}
}

/// What a session has shown of itself to those who choose where an exchange goes that has come to nothing before.
struct Standing: BitwiseCopyable {
    /// Since when it is here, and whether it has ever answered a stream.
    var adoptedAt: UInt64 = 0
    var hasAnswered = false
    /// Which program it belongs to; sessions of the same one fail together.
    var program: UInt16 = 0
    /// How many clients it had when it was lost, and whether what may kill services was among them.
    var lostTogether: Int32 = 0
    var lostWithSuspect = false
    /// Streams whose exchange may be what kills services.
    var suspects: UInt32 = 0

    @_noLocks
    init() {}
}

/// The streams of a session.
struct StreamLists: BitwiseCopyable {
    var all = IndexList()
    /// Those that serve nobody: they wait for the service's end, or for their next request.
    var lingering = IndexList()
    var idle = IndexList()
    /// Those that wait for the answer to their barrier, oldest first.
    var takenBack = IndexList()

    @_noLocks
    init() {}

    /// Streams that carry nothing for anybody just now.
    var unusedCount: Int32 { @_noLocks get { lingering.count + idle.count + takenBack.count } }
    var isEmpty: Bool { @_noLocks get { all.isEmpty } }
}

/// Connections that wait for a place among a session's streams.
struct SessionWaiters: BitwiseCopyable {
    var openers = IndexList()
    /// Those that wait for the session to prove itself, behind all others.
    var doubtful = IndexList()
    /// Which sessions the route had when they chose this one.
    var routeSessions: UInt64 = 0

    @_noLocks
    init() {}

    var isEmpty: Bool { @_noLocks get { openers.isEmpty && doubtful.isEmpty } }
    var count: Int32 { @_noLocks get { openers.count + doubtful.count } }
}
