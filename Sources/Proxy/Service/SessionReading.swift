import Yamux

/// How a session's bytes come in, and where the frame that is being read stands.
struct SessionReading: BitwiseCopyable {
    /// A session is always read to the end (rule 17); these are the ways.
    enum Way {
        /// Nothing is armed: a receive has ended, and is armed again before the turn is over.
        case idle
        /// A repeated receive is armed.
        case received
        /// Its large frames are spliced from now on, as soon as the receive, which is being cancelled, has ended.
        case canceling
        /// Its large frames are spliced: this turn or the next one reads it, frame by frame.
        case spliced
        /// It is spliced, and a poll says when there are bytes.
        case polled
    }

    var way = Way.idle
    var frames = FrameReader()
    /// The stream of the payload that is being read, or -1: it is dropped.
    var stream: Int32 = -1
    /// The frame that is being read carries FIN, which comes after its payload.
    var finishesAfterPayload = false
    /// A part of the payload that is being read has been spliced: so is the rest, however small.
    var isMidSplice = false
    /// Headers that are read by themselves, because what follows may be a payload to be spliced.
    var narrowReads: UInt8 = 0
    /// Wake-ups in a row that brought nothing to splice.
    var smallWakeUps: UInt8 = 0

    @_noLocks
    init() {}

    /// The ring has a receive of it.
    var isReceiving: Bool {
        @_noLocks get {
            switch way {
            case .received, .canceling: true
            case .idle, .spliced, .polled: false
            }
        }
    }
    var isSplicing: Bool {
        @_noLocks get {
            switch way {
            case .canceling, .spliced, .polled: true
            case .idle, .received: false
            }
        }
    }
    var isPolling: Bool {
        @_noLocks get {
            if case .polled = way { return true }
            return false
        }
    }

    @_noLocks
    mutating func receive() {
        assert(!isReceiving && !isSplicing, "rule 17: one receive is armed, and none while frames are spliced")
        way = .received
    }

    /// The last completion of a receive has come.
    @_noLocks
    mutating func receiveEnded() {
        assert(isReceiving, "rule 17: a receive that ends was armed")
        way = isSplicing ? .spliced : .idle
    }

    /// From now on large frames are spliced. True: there is a receive, which has to be cancelled.
    @_noLocks
    mutating func beginSplicing() -> Bool {
        assert(!isSplicing, "rule 17: splicing begins once")
        smallWakeUps = 0
        let wasReceiving = isReceiving
        way = wasReceiving ? .canceling : .spliced
        return wasReceiving
    }

    @_noLocks
    mutating func endSplicing() {
        assert(isSplicing && !isReceiving && !isPolling, "rule 17: splicing ends while the ring holds nothing of it")
        way = .idle
    }

    @_noLocks
    mutating func poll() {
        assert(
            isSplicing && !isReceiving && !isPolling, "rule 17: only a session that is read frame by frame is polled")
        way = .polled
    }

    @_noLocks
    mutating func pollEnded() {
        assert(isPolling, "rule 17: a poll that ends was armed")
        way = .spliced
    }
}
