import HTTP1
import Memory
import Yamux

/// A stream: the half of a relay that faces the service.
struct Stream: BitwiseCopyable {
    var state: StreamState
    var session: Int32
    /// The client that it serves, or -1: it only waits for its end, or for its next request.
    var connection: Int32
    /// The beginning of a reply's head.
    var partial = Chain()
    var headEnd = HeadEndFinder()
    /// For the trailer fields of the request.
    var trailers = TrailerFilter()
    /// Since when it serves nobody.
    var unusedSince: UInt64 = 0
    /// It waits for its next request (`reuse-streams`).
    var isIdle = false
    /// We have reset it before the service had accepted it, and wait for the answer to `barrier`: if that comes first,
    /// nothing of the stream was delivered.
    var isTakenBack = false
    var barrier: UInt32 = 0
    /// Its exchange may be what kills services, and is not answered yet.
    var isSuspect = false
    /// Its client had to wait, and it is one of those that the session's pace counts until the service answers.
    var isPaced = false
    var openedAt: UInt64 = 0
    /// Where in the session's `written` bytes its first frame begins.
    var firstByte: UInt64 = 0
    var window = WindowGrowth()

    @_noLocks
    init(id: UInt32, session: Int32, connection: Int32) {
        self.state = StreamState(id: id)
        self.session = session
        self.connection = connection
    }
}

/// What became of a session's streams in the moment that it was lost, or said GoAway; for the log.
public struct SessionTally: BitwiseCopyable, Sendable {
    // Each count stays at its highest value.

    /// Sent again elsewhere, or waiting for that.
    public var sentAgain: UInt16 = 0
    /// Answered with 502 by us.
    public var failed: UInt16 = 0
    /// Relays, and replies that had begun: cut.
    public var cut: UInt16 = 0

    @_noLocks
    public init() {}

    @_noLocks
    init(word: UInt64) {
        sentAgain = UInt16(truncatingIfNeeded: word)
        failed = UInt16(truncatingIfNeeded: word >> 16)
        cut = UInt16(truncatingIfNeeded: word >> 32)
    }

    /// The highest count stands for all above it.
    @inline(__always) @_noLocks
    static func increment(_ count: inout UInt16) {
        if count < 0xFFFF { count += 1 }
    }

    var word: UInt64 {
        @_noLocks get { UInt64(sentAgain) | UInt64(failed) << 16 | UInt64(cut) << 32 }
    }
}

enum SessionPhase {
    case free
    case live
    /// Lost; its descriptor is closed when its operations have ended.
    case ending
}

/// A service's connection.
struct Session: BitwiseCopyable {
    var fd: Int32 = -1
    /// Given out by the control thread.
    var generation: UInt32 = 0
    var phase = SessionPhase.free
    var state: SessionState
    var reader = FrameReader()
    /// The stream of the payload that is being read, or -1: it is dropped.
    var payloadStream: Int32 = -1
    /// The frame that is being read carries FIN, which comes after its payload.
    var finishesAfterPayload = false

    var isSending = false
    var isReceiving = false
    /// Its large frames are spliced: bytes are taken when a poll says that there are some.
    var isSplicing = false
    var isPolling = false
    /// A part of the payload that is being read has been spliced: so is the rest, however small.
    var isMidSplice = false
    /// Headers that are read by themselves, because what follows may be a payload to be spliced.
    var narrowReads: UInt8 = 0
    /// Wake-ups in a row that brought nothing to splice.
    var smallWakeUps: UInt8 = 0
    /// A frame could not be written whole.
    var isExhausted = false
    /// The registration's response has been written: frames may follow.
    var isAnnounced = false
    /// The service has said GoAway.
    var isDraining = false
    var goAwayAt: UInt64 = 0
    /// When it is looked at next for what it has not accepted of what came before that.
    var takeBackAt = UInt64.max
    var reusesStreams = false
    /// Raw streams begin with the client's address.
    var tellsClientAddress = false
    /// Its requests are marked, so that those that come back are known.
    var marksLoops = false
    /// It has streams that it does not accept: new ones go to its siblings.
    var isSlow = false
    var slowSince: UInt64 = 0
    /// How often in a row that was, and whether it is being tried again, with one stream at a time.
    var slowTimes: UInt8 = 0
    var isOnProbation = false
    /// When it accepted a stream, or had none to accept.
    var lastAcceptance: UInt64 = 0
    /// A ping since it became slow, and when that was answered: whether it lives and only does not accept. 0: not yet.
    var slowPing: UInt32 = 0
    var slowPingAnsweredAt: UInt64 = 0
    /// The route that it serves, by its lasting number.
    var route = UInt32.max
    /// Which sessions the route had when those who wait chose this one.
    var routeSessions: UInt64 = 0
    /// It has refused streams, and gets none until then.
    var refusedUntil: UInt64 = 0
    /// Since when it is here, and whether it has ever answered a stream.
    var adoptedAt: UInt64 = 0
    var hasAnswered = false
    /// Which program it belongs to; sessions of the same one fail together.
    var program: UInt16 = 0
    /// How many clients it had when it was lost.
    var lostTogether: Int32 = 0
    /// Streams whose exchange may be what kills services.
    var suspects: UInt32 = 0
    /// Streams that it has answered, by which it is paced, and those of clients that had to wait and that it has not
    /// answered yet.
    var answered: UInt32 = 0
    var pacedStreams: UInt32 = 0
    /// Since when those that wait get no answer that would let more of them in; 0: somebody may be released.
    var unansweredSince: UInt64 = 0
    /// With `--release-rate`: when the next client that waits may be released, in microseconds.
    var releaseDue: UInt64 = 0
    /// Bytes ever put into `egress`, and taken out of it to be sent.
    var written: UInt64 = 0
    var loaded: UInt64 = 0
    /// What became of its streams when it was lost.
    var tally = SessionTally()

    /// Frames that overtake data: pongs, window updates.
    var control = Chain()
    /// Everything else, in the order of the frames.
    var egress = Chain()
    /// Bytes of `egress` that are no reason for a send.
    var lateBytes = 0
    /// What is under send, or was not sent whole.
    var flight = Chain()
    /// The pipe with the rest of a frame that has begun, to be sent behind `flight` before anything else; -1: none. And
    /// the connection whose bytes they are, -1 if that has ended meanwhile.
    var framePipe: Int32 = -1
    var frameOwner: Int32 = -1

    /// When the socket last took bytes.
    var lastSent: UInt64 = 0

    /// How long the service takes to answer a ping.
    var roundTrip = RoundTrip()
    /// What its streams may have under way beyond the window that every stream has.
    var extraCredit: UInt32 = 0

    var streams = IndexList()
    /// Connections with bytes that the egress had no room for.
    var ready = IndexList()
    /// Connections with bulk to send: one frame each, in turn.
    var bulk = IndexList()
    /// Connections that wait for a place among the unacknowledged streams.
    var openers = IndexList()
    /// Those of them that wait for the session to prove itself, behind all others.
    var doubtful = IndexList()
    var lingering = IndexList()
    var idle = IndexList()
    /// Streams that wait for the answer to their barrier, oldest first.
    var takenBack = IndexList()

    /// Streams that serve nobody.
    var unusedStreams: Int32 { @_noLocks get { lingering.count + idle.count + takenBack.count } }

    @_noLocks
    init(limits: SessionLimits, firstStreamID: UInt32) {
        self.state = SessionState(role: .opener, limits: limits, firstStreamID: firstStreamID)
    }
}

/// Why a session ended; what the control thread logs.
public enum SessionEnd: UInt8, Sendable {
    case closed = 1
    case reset
    case breach
    case silent
    case drained
    case noMemory
    case stopped
    case unresponsive

    /// A clause: "the service …".
    public var clause: String {
        switch self {
        case .closed: "the service closed it"
        case .reset: "the connection broke"
        case .breach: "the service broke the protocol"
        case .silent: "the service did not answer a ping in time"
        case .drained: "the service said GoAway and its streams have ended"
        case .noMemory: "the buffers were exhausted"
        case .stopped: "the proxy stops"
        case .unresponsive: "the service took no bytes in time"
        }
    }
}
