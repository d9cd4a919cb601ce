import Exchanges
import Memory

/// Where a connection waits for a session.
enum WaitPhase {
    case none
    /// For a session of its route, or for its route to be registered at all.
    case route
    /// For a session that cannot open a stream just now.
    case session
}

/// What a client asks for and what it gets: a request with its reply, or all of a relay. It has its client's index.
///
/// How it goes on is decided by its `state`; here stands what that means for this reactor. There is one for each idle
/// client, as there is a `Connection`; the same holds for the order of its fields.
struct Exchange: BitwiseCopyable {
    var state: ExchangeState
    /// What was passed on of the current request, or of the relay, as the client wrote it: to be sent again if it comes
    /// to nothing. All of it, or nothing and `state.isKept` is false.
    var kept = Chain()
    var measure = Measure()
    /// The session that it waits for, or that served it last.
    var session: Int32 = -1
    /// Bytes of the service in the client's `outgoing` for which the service has not got its credit back.
    var owedCredit: UInt32 = 0
    /// What carries the current request or all of the relay towards the service.
    var half = ServiceHalf.none
    var wait = WaitPhase.none
    /// One of those that `--hold-limit` counts.
    var countsAsWaiting = false
    /// It has had to wait, or has come to nothing once: its `Patience` is to be looked at.
    var isPatient = false

    @_noLocks
    init(now: UInt64) { state = ExchangeState(now: now) }

    @_noLocks
    init(_ past: ExchangeHistory, now: UInt64) { state = ExchangeState(past, now: now) }
}
