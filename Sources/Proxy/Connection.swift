import HTTP1
import Memory
import TLS

/// What a client's bytes are.
enum ConnectionMode {
    /// The port has HTTP and raw routes, and the client has not said enough.
    case undecided
    case http
    /// Raw from the beginning, or after an upgrade or CONNECT: bytes both ways, half-closes and all.
    case relay
}

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

/// Whether the kernel may bring bytes of the client.
enum ReceivePhase {
    case idle
    /// A single receive, or a repeated one, is armed.
    case armed
    /// A cancel is under way: the last completion is still to come.
    case canceling
}

/// How far the client's direction has come to its end.
enum ClientEnd {
    case open
    /// The client has finished, but bytes that nobody takes yet may lie before its end in the kernel.
    case announced
    /// No byte will come from the client.
    case finished
}

/// How far our direction has come to its end.
enum OwnEnd {
    case open
    /// close_notify was said, or must not be, because something is missing: nothing can follow.
    case said
    /// The client has been sent a FIN.
    case finished
}

/// How far the connection is on its way to its end. It goes only downwards.
enum Ending {
    case none
    /// When all is sent, it ends.
    case flushing
    /// The same, with a FIN and a moment for the client to go, because bytes may still be on their way.
    case lingering
    /// It goes on at another reactor, as soon as the ring holds nothing of it.
    case handingOver
    /// Closed, as soon as the ring holds nothing of it, or reset.
    case closing, resetting
    /// Nothing is left of it but the slot, which is free at the end of the turn.
    case gone
}

/// Where a connection waits for a session.
enum WaitPhase {
    case none
    /// For a session of its route, or for its route to be registered at all.
    case route
    /// For a session that cannot open a stream just now.
    case session
}

/// A client: the half of a relay that faces the public port.
///
/// There is one for each idle client of a busy host, so its fields stand in an order that leaves no gaps: eight bytes
/// before four, four before one, and single bytes behind what ends at an odd place. `ConnectionTests` holds its size.
struct Connection: BitwiseCopyable {
    /// When the current phase began.
    var phaseSince: UInt64
    /// When bytes last moved.
    var lastProgress: UInt64
    /// Since when it waits for a session, wherever it has waited; 0: it does not.
    var waitedSince: UInt64 = 0
    /// When it first had to wait, or its first attempt came to nothing: from then on it has one hold.
    var patienceSince: UInt64 = 0

    /// What the client has sent and nobody has taken.
    var received = Chain()
    /// What the client has to be sent, the part under send included.
    var outgoing = Chain()
    /// What was passed on of the current request, or of the relay, as the client wrote it: to be sent again if it comes
    /// to nothing. All of it, or nothing and `isKept` is false.
    var kept = Chain()
    /// Records that the client has to be sent, the part under send included. A client that speaks plain is sent
    /// `outgoing` itself.
    var sealed = Chain()
    /// The client's TLS; none: it speaks plain, or has said nothing yet.
    var tls = TLSState()

    /// Bytes of a counted body that the client has still to send; once its request is discarded, what it may still
    /// send at most.
    var requestLeft: UInt64 = 0
    var replyLeft: UInt64 = 0

    var headEnd = HeadEndFinder()
    var mode = ConnectionMode.http
    var request = RequestPhase.head
    var reply = ReplyPhase.none
    var receive = ReceivePhase.idle
    var wait = WaitPhase.none

    var requestChunks = ChunkedReader()
    var method = Method.get
    var requestFraming = BodyFraming.none
    var replyFraming = BodyFraming.none
    var target: UInt8 = 0
    var handOvers: UInt8 = 0

    var replyChunks = ChunkedReader()
    /// How often `kept` was passed on.
    var attempts = Attempts()
    /// What `kept` has is all that was passed on.
    var isKept = false
    /// Receives in a row that speak for bulk, or against it while `isBulk`.
    var bulkSigns: UInt8 = 0
    var isTrusted = false

    var fd: Int32
    /// The stream that carries the current request or all of the relay, or -1.
    var stream: Int32 = -1
    var listener: Int32
    var listenerGeneration: UInt32
    /// The session that it waits for, or that served it last.
    var session: Int32 = -1
    /// The route that it waits for, by its lasting number; `Worker.unknownRoute`: one that nobody has registered yet.
    var waitingRoute: UInt32 = 0
    /// The pipe with bytes for the client, behind `outgoing`; -1: there is none.
    var pipe: Int32 = -1
    /// Bytes of the stream in `outgoing` for which the service has not got its credit back.
    var owedCredit: UInt32 = 0
    private var narrowPipedBytes: Int32 = 0
    private var narrowWaitingBytes: Int32 = 0
    private var narrowSealedBytes: Int32 = 0

    /// KiB that the client had not acknowledged when that was last looked at.
    var unacknowledged: UInt16 = 0
    /// The program that has lost its exchange last; 0: none has.
    var loser: UInt16 = 0
    /// The client's address as text, made when the first head is passed on; 0: not yet.
    var addressCount: UInt8 = 0
    var address = AddressText.Characters(repeating: 0)

    /// Its listener speaks TLS, and the handshake is not done.
    var isShaking = false
    var isSending = false
    var isPolling = false
    private(set) var ending = Ending.none
    var clientEnd = ClientEnd.open
    var ownEnd = OwnEnd.open
    /// Served here before: its receives repeat.
    var isSettled = false
    var keepsAlive = false
    var expectsContinue = false
    var isUpgrade = false
    /// The service's reply allows another request on its stream.
    var serviceKeepsStream = false
    var isHTTP10 = false
    /// A head has begun and is not complete; `phaseSince` says since when.
    var isMidHead = false
    /// The reply lost its chunks' framing for a client of HTTP/1.0.
    var decodesChunks = false
    var isIdempotent = false
    /// A first request has been read: from now on silence is idleness.
    var hasServed = false
    /// One of those that `--hold-limit` counts.
    var countsAsWaiting = false
    /// An interim reply has been passed on.
    var hasHeardInterim = false
    private var bulk: UInt8 = 0

    @_noLocks
    init(fd: Int32, listener: Int32, listenerGeneration: UInt32, now: UInt64) {
        self.fd = fd
        self.listener = listener
        self.listenerGeneration = listenerGeneration
        self.phaseSince = now
        self.lastProgress = now
    }

    // MARK: the end

    /// It has been closed: whoever is in the middle of something leaves it alone.
    var isClosing: Bool {
        @_noLocks get {
            switch ending {
            case .closing, .resetting, .gone: true
            case .none, .flushing, .lingering, .handingOver: false
            }
        }
    }
    var isHandingOver: Bool {
        @_noLocks get {
            if case .handingOver = ending { return true }
            return false
        }
    }
    var resetsOnClose: Bool {
        @_noLocks get {
            if case .resetting = ending { return true }
            return false
        }
    }
    /// When all is sent, the connection ends.
    var closesAfterFlush: Bool {
        @_noLocks get {
            switch ending {
            case .flushing, .lingering: true
            case .none, .handingOver, .closing, .resetting, .gone: false
            }
        }
    }
    var lingers: Bool {
        @_noLocks get {
            if case .lingering = ending { return true }
            return false
        }
    }

    /// What comes next is the last.
    @_noLocks
    mutating func closeAfterFlush() {
        if case .none = ending { ending = .flushing }
    }

    @_noLocks
    mutating func linger() {
        assert(!isHandingOver && !isClosing, "rule 4: what has ended does not end again")
        ending = .lingering
    }

    @_noLocks
    mutating func beginHandOver() {
        assert(!isHandingOver && !isClosing && !lingers, "rule 4: what has ended goes nowhere")
        ending = .handingOver
    }

    @_noLocks
    mutating func beginClose(reset: Bool) {
        assert(!isClosing, "rule 4: a connection is closed once")
        ending = reset ? .resetting : .closing
    }

    /// The ring holds nothing of it.
    @_noLocks
    mutating func end() {
        assert((isClosing || isHandingOver) && !isInKernel, "rule 4: what the ring holds has not ended")
        ending = .gone
        fd = -1
    }

    /// The client has been sent a FIN.
    var finishSent: Bool {
        @_noLocks get {
            if case .finished = ownEnd { return true }
            return false
        }
    }
    /// Nothing can follow what the client has been sent.
    var hasSaidEnd: Bool {
        @_noLocks get {
            if case .open = ownEnd { return false }
            return true
        }
    }

    /// No byte will come from the client.
    var clientFinished: Bool {
        @_noLocks get {
            if case .finished = clientEnd { return true }
            return false
        }
    }

    /// The ring has an operation on it.
    var isInKernel: Bool {
        @_noLocks get {
            guard case .idle = receive else { return true }
            return isSending || isPolling
        }
    }

    /// What the client sends is bulk: its bytes go through a pipe, and receives are short and single.
    var isBulk: Bool {
        @_noLocks get { bulk & 1 != 0 }
        @_noLocks set { bulk = bulk & ~1 | (newValue ? 1 : 0) }
    }
    /// It stands in its session's list of those with bulk to send.
    var isQueuedToSplice: Bool {
        @_noLocks get { bulk & 2 != 0 }
        @_noLocks set { bulk = bulk & ~2 | (newValue ? 2 : 0) }
    }
    /// The socket had no more bytes when they were last looked for.
    var isDry: Bool {
        @_noLocks get { bulk & 4 != 0 }
        @_noLocks set { bulk = bulk & ~4 | (newValue ? 4 : 0) }
    }

    // Counts that a bound keeps far below what four bytes hold.

    /// Bytes that the client has to be sent in the pipe and, copied, behind it.
    var pipedBytes: Int {
        @_noLocks get { Int(narrowPipedBytes) }
        @_noLocks set { narrowPipedBytes = Int32(newValue) }
    }
    /// Bytes by which it counts among those that wait.
    var waitingBytes: Int {
        @_noLocks get { Int(narrowWaitingBytes) }
        @_noLocks set { narrowWaitingBytes = Int32(newValue) }
    }
    /// How many bytes of `outgoing` the records in `sealed` took.
    var sealedBytes: Int {
        @_noLocks get { Int(narrowSealedBytes) }
        @_noLocks set { narrowSealedBytes = Int32(newValue) }
    }

    /// Whether what the client has to be sent is the last that it gets: no request is under way, and none can follow.
    var endsWithUnsent: Bool {
        @_noLocks get {
            guard closesAfterFlush, !isHandingOver, case .http = mode, case .none = reply else { return false }
            switch request {
            case .discarded: return true
            case .head: return received.isEmpty
            case .waiting, .body, .finished, .skipped: return false
            }
        }
    }

    /// The client has sent what may be a whole request, at which nobody has looked.
    var hasRequestAside: Bool {
        @_noLocks get {
            guard case .head = request else { return false }
            return !received.isEmpty && !isMidHead
        }
    }

    /// Bytes that the client has to be sent, sealed or not.
    var unsentBytes: Int { @_noLocks get { outgoing.count + sealed.count + pipedBytes } }
    var hasUnsent: Bool { @_noLocks get { !outgoing.isEmpty || !sealed.isEmpty || pipedBytes > 0 } }
}
