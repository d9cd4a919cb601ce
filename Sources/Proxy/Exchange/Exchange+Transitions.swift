import HTTP1

// How an exchange goes on, whatever carries it: nothing here knows of descriptors, clocks or streams. Both messages go
// forwards only (rule 30), and whoever would have them do otherwise traps.
extension Exchange {
    // MARK: the request

    /// Its head is complete and stays where it is, until a session can take it.
    @_noLocks
    mutating func beginWait() {
        assert(isBeforeStart, "rule 30: who waits has not been passed on")
        request = .waiting
    }

    /// It does not wait any more: its head is looked at again.
    @_noLocks
    mutating func endWait() {
        assert(isBeforeStart, "rule 30: who waits has not been passed on")
        request = .head
    }

    /// Its head is passed on; a body follows if the head says so.
    @_noLocks @inline(__always)
    mutating func start() {
        assert(isBeforeStart, "rule 30: a request is passed on once")
        past.handOvers = 0
        reply = .head
        requestChunks = ChunkedReader()
        switch requestFraming {
        case .counted, .chunked: request = .body
        case .none, .untilClose: request = .finished
        }
    }

    /// So many bytes are there; returns how many of them belong to a counted body. They are passed on.
    @_noLocks @inline(__always)
    mutating func takeCounted(_ available: Int) -> Int {
        assert(isInBody, "rule 30: a body is behind its head")
        let count = Int(min(UInt64(available), requestLeft))
        requestLeft -= UInt64(count)
        if requestLeft == 0 { request = .finished }
        return count
    }

    /// The last byte of its body has been passed on.
    @_noLocks
    mutating func finishRequest() {
        assert(isInBody, "rule 30: a body is behind its head")
        request = .finished
    }

    /// The reply was early and promised that the connection goes on: what is left of the body is read and dropped.
    @_noLocks
    mutating func beginToSkip() {
        assert(isInBody && isUnanswered, "rule 7: what is left of a body is skipped when its reply is whole")
        request = .skipped
    }

    /// So many bytes are there; returns how many belong to what is skipped. Behind the last one the next request may
    /// begin.
    @_noLocks
    mutating func skip(_ available: Int) -> Int {
        assert(isUnanswered && requestLeft > 0, "rule 7: what is skipped is the rest of a body")
        let count = Int(min(UInt64(available), requestLeft))
        requestLeft -= UInt64(count)
        if requestLeft == 0 { request = .head }
        return count
    }

    /// What the client still says is nobody's.
    @_noLocks
    mutating func discardRequest(atMost count: UInt64) {
        request = .discarded
        requestLeft = count
    }

    /// Of what is nobody's so much has come. True: it was too much.
    @_noLocks
    mutating func drop(_ count: Int) -> Bool {
        requestLeft -= min(UInt64(count), requestLeft)
        return requestLeft == 0
    }

    // MARK: the reply

    /// Its head is about to be passed on.
    @_noLocks @inline(__always)
    mutating func beginReply(_ framing: BodyFraming, length: UInt64, keepsStream: Bool) {
        assert(awaitsReply, "rule 30: a reply is behind the head of its request, and there is one")
        replyFraming = framing
        replyLeft = length
        replyChunks = ChunkedReader()
        decodesChunks = false
        serviceKeepsStream = keepsStream
        reply = .body
    }

    /// So many bytes of a counted body have been passed on. True: they were the last.
    @_noLocks @inline(__always)
    mutating func passReply(counted count: Int) -> Bool {
        precondition(UInt64(count) <= replyLeft, "rule 30: a reply ends with its length")
        replyLeft -= UInt64(count)
        return replyLeft == 0
    }

    /// There is none, or none any more.
    @_noLocks
    mutating func endReply() { reply = .none }

    /// Both messages are whole: what the client says next is another request.
    @_noLocks
    mutating func beginNext() {
        assert(isUnanswered, "rule 30: the next request is behind the reply")
        request = .head
    }

    // MARK: again

    /// What was passed on of it has come to nothing, and stands in front of what the client says next.
    @_noLocks
    mutating func startAnew(now: UInt64) {
        assert(isUnanswered || awaitsReply, "rule 20: what the client has heard of is not sent again")
        assert(!half.exists, "rule 29: what comes again is not served")
        owedCredit = 0
        reply = .none
        past.handOvers = 0
        past.phaseSince = now
        lastProgress = now
        // That of a relay has never been anything else: what has become one by its reply is not sent again.
        request = .head
    }

    // MARK: where it is

    private var isBeforeStart: Bool {
        @_noLocks get {
            switch request {
            case .head, .waiting: isUnanswered
            case .body, .finished, .skipped, .discarded: false
            }
        }
    }

    private var isInBody: Bool {
        @_noLocks get {
            if case .body = request { return true }
            return false
        }
    }

    /// No reply is under way.
    private var isUnanswered: Bool {
        @_noLocks get {
            if case .none = reply { return true }
            return false
        }
    }

    private var awaitsReply: Bool {
        @_noLocks get {
            if case .head = reply { return true }
            return false
        }
    }
}
