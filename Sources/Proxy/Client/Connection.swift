import Exchanges
import HTTP1
import Memory
import TLS

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

/// Who a client is, and what goes along with it to another reactor.
struct Client: BitwiseCopyable {
    /// Its TLS; none: it speaks plain, or has said nothing yet.
    var tls = TLSState()
    var fd: Int32
    var listener: Int32
    var listenerGeneration: UInt32
    var mode = ConnectionMode.http
    var end = ClientEnd.open
    /// A first request has been read: from now on silence is idleness.
    var hasServed = false

    @_noLocks
    init(fd: Int32, listener: Int32, listenerGeneration: UInt32) {
        self.fd = fd
        self.listener = listener
        self.listenerGeneration = listenerGeneration
    }
}

/// The half of a relay that faces the public port: a client's socket, its TLS, what it has said and has to be sent, and
/// its end. What it asks for is its `Exchange`, which has the same index.
///
/// There is one for each idle client of a busy host, so its fields stand in an order that leaves no gaps: eight bytes
/// before four, four before one, and single bytes behind what ends at an odd place. `ConnectionTests` holds its size.
struct Connection: BitwiseCopyable {
    var client: Client
    private(set) var ending = Ending.none

    /// What the client has sent and nobody has taken.
    var received = Chain()
    /// What the client has to be sent, the part under send included.
    var outgoing = Chain()
    /// Records that the client has to be sent, the part under send included. A client that speaks plain is sent
    /// `outgoing` itself.
    var sealed = Chain()

    var headEnd = HeadEndFinder()
    /// A head has begun and is not complete; `phaseSince` says since when.
    var isMidHead = false
    var receive = ReceivePhase.idle
    var isSending = false
    var isPolling = false
    var ownEnd = OwnEnd.open

    /// The pipe with bytes for the client, behind `outgoing`; -1: there is none.
    var pipe: Int32 = -1
    private var narrowPipedBytes: Int32 = 0
    private var narrowSealedBytes: Int32 = 0

    /// KiB that the client had not acknowledged when that was last looked at.
    var unacknowledged: UInt16 = 0
    /// The reactor that it is handed over to.
    var target: UInt8 = 0
    /// The client's address as text, made when the first head is passed on; 0: not yet.
    var addressCount: UInt8 = 0
    var address = AddressText.Characters(repeating: 0)
    var isTrusted = false

    /// Its listener speaks TLS, and the handshake is not done.
    var isShaking = false
    /// Served here before: its receives repeat.
    var isSettled = false
    /// Receives in a row that speak for bulk, or against it while `isBulk`.
    var bulkSigns: UInt8 = 0
    private var bulk: UInt8 = 0

    @_noLocks
    init(_ client: Client) { self.client = client }

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
    /// It is nobody's here any more: whoever is in the middle of something leaves it alone.
    var isLeaving: Bool {
        @_noLocks get {
            switch ending {
            case .handingOver, .closing, .resetting, .gone: true
            case .none, .flushing, .lingering: false
            }
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
        assert(!isLeaving, "rule 4: what has ended does not end again")
        ending = .lingering
    }

    @_noLocks
    mutating func beginHandOver() {
        assert(!isLeaving && !lingers, "rule 4: what has ended goes nowhere")
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
        assert(isLeaving && !isInKernel, "rule 4: what the ring holds has not ended")
        ending = .gone
        client.fd = -1
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
            if case .finished = client.end { return true }
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
    /// How many bytes of `outgoing` the records in `sealed` took.
    var sealedBytes: Int {
        @_noLocks get { Int(narrowSealedBytes) }
        @_noLocks set { narrowSealedBytes = Int32(newValue) }
    }

    /// Bytes that the client has to be sent, sealed or not.
    var unsentBytes: Int { @_noLocks get { outgoing.count + sealed.count + pipedBytes } }
    var hasUnsent: Bool { @_noLocks get { !outgoing.isEmpty || !sealed.isEmpty || pipedBytes > 0 } }
}
