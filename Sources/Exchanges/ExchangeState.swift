public import HTTP1

/// How far a client's request is.
public enum RequestPhase: UInt8, BitwiseCopyable, Sendable {
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
public enum ReplyPhase: UInt8, BitwiseCopyable, Sendable {
    /// No request is under way.
    case none
    case head
    case body
}

/// What a client's bytes are.
public enum ConnectionMode: UInt8, BitwiseCopyable, Sendable {
    /// The port has HTTP and raw routes, and the client has not said enough.
    case undecided
    case http
    /// Raw from the beginning, or after an upgrade or CONNECT: bytes both ways, half-closes and all.
    case relay
}

/// What has become of an exchange so far, and goes along with its client to another reactor.
public struct ExchangeHistory: BitwiseCopyable, Sendable {
    /// When the current phase began.
    public var phaseSince: UInt64
    /// The program that has lost it last; 0: none has.
    public var loser: UInt16 = 0
    /// How often it was passed on.
    public internal(set) var attempts = Attempts()
    /// How often its client was handed over without being served.
    public var handOvers: UInt8 = 0

    @_noLocks
    public init(phaseSince: UInt64) { self.phaseSince = phaseSince }
}

/// A request with its reply, one after the other on a client's connection, or all of a relay: how far both messages
/// are, where they end, what may be sent again, and how long anybody waits.
///
/// Plain words that know no descriptor, no clock and nothing of what carries the bytes: bytes and times come in, and
/// what is to be done with them comes out. Both messages go forwards only (rule 30 of `Proxy`), and whoever would have
/// them do otherwise traps.
///
/// There is one for each idle client: eight bytes stand before four, four before one, and single bytes behind what ends
/// at an odd place.
public struct ExchangeState: BitwiseCopyable, Sendable {
    public var past: ExchangeHistory
    public internal(set) var request = RequestPhase.head
    public internal(set) var reply = ReplyPhase.none
    public var method = Method.get
    public internal(set) var requestFraming = BodyFraming.none

    /// When bytes last moved.
    public var lastProgress: UInt64
    /// Bytes of a counted body that the client has still to send; once its request is discarded, what it may still
    /// send at most.
    public internal(set) var requestLeft: UInt64 = 0
    /// Bytes of a counted body that the service has still to send.
    public internal(set) var replyLeft: UInt64 = 0

    var requestChunks = ChunkedReader()
    public internal(set) var replyFraming = BodyFraming.none
    /// What was passed on has been kept, all of it.
    public internal(set) var isKept = false
    public internal(set) var isIdempotent = false
    /// An interim reply has been passed on.
    public internal(set) var hasHeardInterim = false
    /// The client's connection outlives the reply.
    public internal(set) var keepsAlive = false

    var replyChunks = ChunkedReader()
    public internal(set) var expectsContinue = false
    public internal(set) var isUpgrade = false
    public internal(set) var isHTTP10 = false
    /// The reply loses its chunks' framing for a client of HTTP/1.0.
    public internal(set) var decodesChunks = false
    /// The service's reply allows another request on its stream.
    public internal(set) var serviceKeepsStream = false

    @_noLocks
    public init(now: UInt64) { self.init(ExchangeHistory(phaseSince: now), now: now) }

    /// One that goes on here.
    @_noLocks
    public init(_ past: ExchangeHistory, now: UInt64) {
        self.past = past
        lastProgress = now
    }
}

extension ExchangeState {
    /// No reply is under way, and so no request that has been passed on.
    @inlinable public var isUnanswered: Bool {
        @_noLocks get {
            if case .none = reply { return true }
            return false
        }
    }

    /// The request has been passed on, and nothing of its reply.
    @inlinable public var awaitsReply: Bool {
        @_noLocks get {
            if case .head = reply { return true }
            return false
        }
    }

    /// A part of the reply has been passed on.
    @inlinable public var hasBegunReply: Bool {
        @_noLocks get {
            if case .body = reply { return true }
            return false
        }
    }

    /// The body of the request is being passed on.
    @inlinable public var isInBody: Bool {
        @_noLocks get {
            if case .body = request { return true }
            return false
        }
    }

    @inlinable public var isConnect: Bool {
        @_noLocks get {
            if case .connect = method { return true }
            return false
        }
    }

    /// Nothing but the end of the connection tells the client that the reply is whole.
    @inlinable public var endsByClosing: Bool {
        @_noLocks get {
            if case .untilClose = replyFraming { return true }
            return decodesChunks
        }
    }

    var isDiscarded: Bool {
        @_noLocks get {
            if case .discarded = request { return true }
            return false
        }
    }

    var isBeforeStart: Bool {
        @_noLocks get {
            switch request {
            case .head, .waiting: isUnanswered
            case .body, .finished, .skipped, .discarded: false
            }
        }
    }
}
