public import HTTP1

/// What is to be done with the head of a reply.
public enum ReplyHeadStep: UInt8, BitwiseCopyable, Sendable {
    /// It is an interim reply, which goes on; another head follows.
    case interim
    /// The same, for a client that knows no such replies: nothing goes on.
    case unknownInterim
    /// It goes on, and what follows it is a relay.
    case relay
    /// It says that what follows is a relay, and nobody has asked for one.
    case unaskedRelay
    /// It goes on, and its body, if it has one, follows.
    case reply
}

/// Bytes that begin with some of a reply's body.
public struct ReplyPiece: BitwiseCopyable, Sendable {
    /// How many of them go on, from the first one.
    public let passed: Int
    /// How many have been taken, with those that do not go on.
    public let taken: Int
    public let status: ChunkedReader.Status

    @_noLocks
    init(passed: Int, taken: Int, _ status: ChunkedReader.Status) {
        self.passed = passed
        self.taken = taken
        self.status = status
    }
}

/// What follows a reply that is whole.
public enum ReplyEndStep: UInt8, BitwiseCopyable, Sendable {
    /// The next request.
    case next
    /// The next request, behind the rest of this one, which is skipped.
    case rest
    /// The end of the connection.
    case end
    /// The end, and what the client still says is nobody's: it may be in the middle of something.
    case endAmidRequest
}

extension ExchangeState {
    /// What is left of a counted body is skipped if it is no more than this, so that the connection goes on.
    public static var skippedBytes: UInt64 { @_noLocks get { 256 << 10 } }

    // MARK: its head

    /// The head of a reply is complete and goes on, or does not.
    /// - Parameter isLast: the connection ends behind it, whatever the service would like.
    @_noLocks
    public mutating func take(_ head: borrowing ResponseHead, isLast: Bool) -> ReplyHeadStep {
        assert(awaitsReply, "rule 30: a reply is behind the head of its request, and there is one")
        if head.isInterim {
            // A client of HTTP/1.0 knows no interim replies.
            guard !isHTTP10 else { return .unknownInterim }
            hasHeardInterim = true
            if head.status == 100 { expectsContinue = false }
            return .interim
        }
        if head.isSwitching || isConnect && head.status / 100 == 2 {
            // Only an upgrade may get 101. Within trailer fields there is no place where the other protocol could
            // begin.
            let isAsked = isUpgrade || !head.isSwitching
            return isAsked && !isInTrailers ? .relay : .unaskedRelay
        }
        beginReply(head.framing, length: head.contentLength, keepsStream: head.keepAlive)
        decidePersistence(isLast: isLast)
        return .reply
    }

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

    /// Whether the client's connection outlives this reply.
    private mutating func decidePersistence(isLast: Bool) {
        switch replyFraming {
        case .untilClose: keepsAlive = false
        case .chunked where isHTTP10:
            decodesChunks = true
            keepsAlive = false
        case .none, .counted, .chunked: break
        }
        if isInBody, !maySkipRest { keepsAlive = false }
        // RFC 9931 §6: what follows a CONNECT was meant for its tunnel, and is no request.
        if isLast || isConnect { keepsAlive = false }
    }

    /// The reply comes before the end of the request. Whether what is left of the body is so little, and so certain to
    /// come, that the connection can go on behind it; who is told to go on must not be left.
    private var maySkipRest: Bool {
        // Who was promised 100-continue and gets something else may send its body or not: nobody can tell.
        guard case .counted = requestFraming, !expectsContinue else { return false }
        return requestLeft <= Self.skippedBytes
    }

    // MARK: its body

    /// How many of these bytes belong to its body. One that `decodesChunks` goes on by `nextData`.
    @_noLocks
    public mutating func takeReply(_ bytes: UnsafeRawBufferPointer) -> ReplyPiece {
        assert(hasBegunReply && !decodesChunks, "rule 30: a body is behind its head")
        switch replyFraming {
        case .counted:
            let count = Int(min(UInt64(bytes.count), replyLeft))
            return ReplyPiece(passed: count, taken: count, takeReply(counted: count) ? .finished : .more)
        case .chunked:
            var passed = 0
            var blanks = 0
            let status = unsafe replyChunks.advanceReply(bytes, consumed: &passed, blanks: &blanks)
            // Whoever is told that something is broken, or whole, has got on.
            var taken = max(1, passed)
            if case .more = status { taken = blanks > 0 ? passed + blanks : bytes.count }
            return ReplyPiece(passed: passed, taken: taken, status)
        case .untilClose: return ReplyPiece(passed: bytes.count, taken: bytes.count, .more)
        case .none: return ReplyPiece(passed: 0, taken: bytes.count, .finished)
        }
    }

    /// So many bytes of a counted body go on. True: they are the last.
    @_noLocks @inline(__always)
    public mutating func takeReply(counted count: Int) -> Bool {
        precondition(UInt64(count) <= replyLeft, "rule 30: a reply ends with its length")
        replyLeft -= UInt64(count)
        return replyLeft == 0
    }

    /// The next run of data in chunks that a client of HTTP/1.0 gets without their framing: as
    /// `ChunkedReader.nextData`.
    @_noLocks
    public mutating func nextData(
        _ bytes: UnsafeRawBufferPointer, offset: inout Int, status: inout ChunkedReader.Status
    ) -> ByteRange {
        assert(hasBegunReply && decodesChunks, "rule 30: a body is behind its head")
        return unsafe replyChunks.nextData(bytes, offset: &offset, status: &status)
    }

    // MARK: its end

    /// The service says no more. True: that is the end of the reply; else something is missing.
    public var isWholeByServiceEnd: Bool {
        @_noLocks get {
            guard case .body = reply, case .untilClose = replyFraming else { return false }
            return true
        }
    }

    /// The reply is whole.
    /// - Parameter isLast: the connection ends behind it, whatever was said.
    @_noLocks
    public mutating func finishReply(isLast: Bool) -> ReplyEndStep {
        assert(!isUnanswered, "rule 30: a reply ends once")
        reply = .none
        guard !isInBody else {
            guard keepsAlive else { return .endAmidRequest }
            request = .skipped
            return .rest
        }
        // What follows a CONNECT is no request.
        if isConnect { return .endAmidRequest }
        guard keepsAlive, !isLast else { return .end }
        beginNext()
        return .next
    }

    /// There is none, or none any more.
    @_noLocks
    public mutating func endReply() { reply = .none }

    /// Both messages are whole: what the client says next is another request.
    @_noLocks
    public mutating func beginNext() {
        assert(isUnanswered, "rule 30: the next request is behind the reply")
        request = .head
    }
}
