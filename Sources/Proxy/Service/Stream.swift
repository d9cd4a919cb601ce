import HTTP1
import Memory
import Yamux

/// What a stream is there for.
enum StreamUse {
    /// It carries an exchange, or will.
    case serving
    /// We have reset it before the service had accepted it, and wait for the answer to its barrier: if that comes
    /// first, nothing of the stream was delivered, and its exchange is sent again.
    case takenBack
    /// It waits for its next request (`reuse-streams`).
    case idle
    /// It serves nobody any more, and waits for the service's end.
    case lingering
}

/// A stream: the half of a relay that faces the service.
struct Stream: BitwiseCopyable {
    var state: StreamState
    var session: Int32
    /// The client that it serves, or -1.
    var connection: Int32
    var parts = HalfParts()
    /// Since when it serves nobody.
    var unusedSince: UInt64 = 0
    var use = StreamUse.serving
    /// While it is taken back: the ping whose answer proves that nothing of it was delivered.
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

    // MARK: for the client's half

    /// How many bytes the service takes.
    var room: Int { @_noLocks get { Int(state.sendWindow) } }
    /// The service has heard of it, or will with what is sent next.
    var isAnnounced: Bool { @_noLocks get { state.isAnnounced } }
    var isAccepted: Bool { @_noLocks get { state.isAcknowledged } }
    var canFinish: Bool { @_noLocks get { state.canSendFin } }
    var hasFinished: Bool { @_noLocks get { state.finSent } }
    /// Nobody reads what is still said: its end was, or the service has reset it.
    var takesNoMore: Bool { @_noLocks get { state.finSent || state.isReset && !isTakenBack } }

    // MARK: what it is there for

    var isIdle: Bool {
        @_noLocks get {
            if case .idle = use { return true }
            return false
        }
    }
    var isTakenBack: Bool {
        @_noLocks get {
            if case .takenBack = use { return true }
            return false
        }
    }
}
