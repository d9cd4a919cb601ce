public import HTTP1

/// Bytes that begin with some of a body.
public struct BodyPiece: BitwiseCopyable, Sendable {
    /// How many of them belong to it, and go on.
    public let count: Int
    /// What follows them is none: where the body ends cannot be known.
    public let isBroken: Bool

    @_noLocks
    init(_ count: Int, isBroken: Bool = false) {
        self.count = count
        self.isBroken = isBroken
    }
}

/// What the end of the client's direction is for an exchange of HTTP.
public enum ClientEndStep: UInt8, BitwiseCopyable, Sendable {
    /// Nothing, or not yet.
    case goesOn
    /// It waits in vain: nobody has taken its request on yet.
    case leaves
    /// Its request will never be whole.
    case vanishes
    /// When it has what it is to be sent, the connection ends.
    case ends
    /// Its last request is whole: the service may learn that no other one comes.
    case passesEnd
    /// The same, if there is no request in what lies aside.
    case passesEndIfNothingIsBehind
}

extension ExchangeState {
    // MARK: its beginning

    /// The head of a request is complete, and remembered for as long as the request lasts.
    /// - Parameter isLast: the connection ends behind it, whatever the client would like.
    @_noLocks
    public mutating func note(_ head: borrowing RequestHead, isLast: Bool, now: UInt64) {
        assert(isBeforeStart, "rule 30: a request is behind the reply before it")
        method = head.method
        requestFraming = head.framing
        requestLeft = head.contentLength
        keepsAlive = head.keepAlive && !isLast
        expectsContinue = head.expectsContinue
        isUpgrade = head.isUpgrade
        isHTTP10 = head.minorVersion == 0
        isIdempotent = head.isIdempotent
        past.phaseSince = now
    }

    /// Its head is complete and stays where it is, until a session can take it.
    @_noLocks
    public mutating func beginWait() {
        assert(isBeforeStart, "rule 30: who waits has not been passed on")
        request = .waiting
    }

    /// It does not wait any more: its head is looked at again.
    @_noLocks
    public mutating func endWait() {
        assert(isBeforeStart, "rule 30: who waits has not been passed on")
        request = .head
    }

    /// Its head is passed on; a body follows if the head says so.
    @_noLocks @inline(__always)
    public mutating func start() {
        assert(isBeforeStart, "rule 30: a request is passed on once")
        past.handOvers = 0
        reply = .head
        requestChunks = ChunkedReader()
        switch requestFraming {
        case .counted, .chunked: request = .body
        case .none, .untilClose: request = .finished
        }
    }

    // MARK: its body

    /// How many of these bytes belong to its body and go on; its end is noted. A body whose trailer fields have begun
    /// goes on by `takeTrailers`.
    /// - Parameter room: how many may go on.
    @_noLocks
    public mutating func takeBody(_ bytes: UnsafeRawBufferPointer, atMost room: Int) -> BodyPiece {
        assert(isInBody, "rule 30: a body is behind its head")
        let limit = min(room, bytes.count)
        guard limit > 0 else { return BodyPiece(0) }
        // Whoever sends its body does not wait for 100, or not any more.
        expectsContinue = false
        switch requestFraming {
        case .counted: return BodyPiece(takeCounted(limit))
        case .chunked:
            var count = 0
            let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<limit])
            let status = unsafe requestChunks.advance(piece, consumed: &count)
            return ended(status, count)
        case .none, .untilClose: return BodyPiece(0)
        }
    }

    /// So many bytes of a counted body are there; returns how many of them belong to it. They are passed on.
    @_noLocks @inline(__always)
    public mutating func takeCounted(_ available: Int) -> Int {
        assert(isInBody, "rule 30: a body is behind its head")
        let count = Int(min(UInt64(available), requestLeft))
        requestLeft -= UInt64(count)
        if requestLeft == 0 { request = .finished }
        return count
    }

    /// What the client sends next is trailer fields, which are not all the service's.
    @inlinable
    public var isInTrailers: Bool {
        @_noLocks get {
            guard case .chunked = requestFraming, case .body = request else { return false }
            return chunksAreInTrailers
        }
    }

    @usableFromInline var chunksAreInTrailers: Bool { @_noLocks get { requestChunks.isInTrailers } }

    /// How many of these bytes belong to its trailer fields; its end is noted.
    @_noLocks
    public mutating func takeTrailers(_ bytes: UnsafeRawBufferPointer) -> BodyPiece {
        assert(isInBody, "rule 30: trailer fields are behind a body")
        var count = 0
        let status = unsafe requestChunks.advanceTrailers(bytes, consumed: &count)
        return ended(status, count)
    }

    private mutating func ended(_ status: ChunkedReader.Status, _ count: Int) -> BodyPiece {
        switch status {
        case .more: break
        case .finished: request = .finished
        case .broken: return BodyPiece(count, isBroken: true)
        }
        return BodyPiece(count)
    }

    // MARK: what is nobody's

    /// So many bytes are there; returns how many belong to what is skipped. Behind the last one the next request may
    /// begin.
    @_noLocks
    public mutating func skip(_ available: Int) -> Int {
        assert(isUnanswered && requestLeft > 0, "rule 7: what is skipped is the rest of a body")
        let count = Int(min(UInt64(available), requestLeft))
        requestLeft -= UInt64(count)
        if requestLeft == 0 { request = .head }
        return count
    }

    /// What the client still says is nobody's.
    @_noLocks
    public mutating func discardRequest(atMost count: UInt64) {
        request = .discarded
        requestLeft = count
    }

    /// Of what is nobody's so much has come. True: it was too much.
    @_noLocks
    public mutating func drop(_ count: Int) -> Bool {
        assert(isDiscarded, "rule 7: what is dropped has been given up")
        requestLeft -= min(UInt64(count), requestLeft)
        return requestLeft == 0
    }

    // MARK: the client's end

    /// The client says no more.
    /// - Parameters:
    ///   - isMidHead: what lies aside is the beginning of a head.
    ///   - hasBytes: something lies aside.
    @_noLocks
    public func clientEnd(isMidHead: Bool, hasBytes: Bool) -> ClientEndStep {
        switch request {
        // Unless it is sent again, for then the client's end came behind it.
        case .waiting: past.attempts.areNone ? .leaves : .goesOn
        case .head: hasBytes && !(isMidHead && isUnanswered) ? .goesOn : .ends
        case .skipped: hasBytes ? .goesOn : .ends
        case .body: hasBytes ? .goesOn : .vanishes
        case .finished: hasBytes ? .passesEndIfNothingIsBehind : .passesEnd
        case .discarded: .goesOn
        }
    }
}
