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
    /// The beginning of a reply's head.
    var partial = Chain()
    var headEnd = HeadEndFinder()
    /// For the trailer fields of the request.
    var trailers = TrailerFilter()
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
