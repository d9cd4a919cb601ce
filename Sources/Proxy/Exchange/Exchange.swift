import HTTP1
import Memory

/// How far the client's current request is.
enum RequestPhase {
    /// Between requests, or within a head.
    case head
    /// The head is complete and stays where it is until a session can take it.
    case waiting
    case body
    /// All of it was passed on.
    case finished
    /// The reply came early and promised to go on: what is left of the body is read and dropped.
    case skipped
    /// The connection is going to end; what the client still sends is read and dropped.
    case discarded
}

/// How far the reply is.
enum ReplyPhase {
    /// No request is under way.
    case none
    case head
    case body
}

/// Where a connection waits for a session.
enum WaitPhase {
    case none
    /// For a session of its route, or for its route to be registered at all.
    case route
    /// For a session that cannot open a stream just now.
    case session
}

/// What has become of an exchange so far, and goes along with its client to another reactor.
struct ExchangeHistory: BitwiseCopyable {
    /// When the current phase began.
    var phaseSince: UInt64
    /// The program that has lost it last; 0: none has.
    var loser: UInt16 = 0
    /// How often it was passed on.
    var attempts = Attempts()
    /// How often its client was handed over without being served.
    var handOvers: UInt8 = 0

    @_noLocks
    init(phaseSince: UInt64) { self.phaseSince = phaseSince }
}

/// What a client asks for and what it gets: a request with its reply, or all of a relay. It has its client's index.
///
/// There is one for each idle client, as there is a `Connection`; the same holds for the order of its fields.
struct Exchange: BitwiseCopyable {
    var past: ExchangeHistory
    var request = RequestPhase.head
    var reply = ReplyPhase.none
    var wait = WaitPhase.none
    var method = Method.get

    /// When bytes last moved.
    var lastProgress: UInt64
    /// Bytes of a counted body that the client has still to send; once its request is discarded, what it may still
    /// send at most.
    var requestLeft: UInt64 = 0
    var replyLeft: UInt64 = 0
    /// What was passed on of the current request, or of the relay, as the client wrote it: to be sent again if it comes
    /// to nothing. All of it, or nothing and `isKept` is false.
    var kept = Chain()

    var requestChunks = ChunkedReader()
    var requestFraming = BodyFraming.none
    var replyFraming = BodyFraming.none
    /// What `kept` has is all that was passed on.
    var isKept = false
    var isIdempotent = false
    /// An interim reply has been passed on.
    var hasHeardInterim = false

    var replyChunks = ChunkedReader()
    var keepsAlive = false
    var expectsContinue = false
    var isUpgrade = false
    var isHTTP10 = false
    /// The reply lost its chunks' framing for a client of HTTP/1.0.
    var decodesChunks = false

    /// The session that it waits for, or that served it last.
    var session: Int32 = -1
    /// Bytes of the service in the client's `outgoing` for which the service has not got its credit back.
    var owedCredit: UInt32 = 0
    /// What carries the current request or all of the relay towards the service.
    var half = ServiceHalf.none
    /// The service's reply allows another request on its stream.
    var serviceKeepsStream = false
    /// One of those that `--hold-limit` counts.
    var countsAsWaiting = false
    /// It has had to wait, or has come to nothing once: its `Patience` is to be looked at.
    var isPatient = false

    @_noLocks
    init(now: UInt64) {
        past = ExchangeHistory(phaseSince: now)
        lastProgress = now
    }

    @_noLocks
    init(_ past: ExchangeHistory, now: UInt64) {
        self.past = past
        lastProgress = now
    }
}
