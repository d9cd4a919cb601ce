import NIOCore

/// What the application has written to a stream and what has not gone out as a frame yet.
struct OutboundQueue {
    private var pieces = MarkedCircularBuffer<Piece>(initialCapacity: 4)
    /// All bytes, and those of them that have been flushed.
    private(set) var byteCount = 0
    private(set) var flushedBytes = 0

    struct Piece {
        var bytes: ByteBuffer
        var promise: EventLoopPromise<Void>?
    }

    /// Whether there is something flushed, be it an empty write that only wants to know when its turn has come.
    var hasFlushed: Bool { pieces.hasMark }

    var isEmpty: Bool { pieces.isEmpty }

    mutating func append(_ bytes: ByteBuffer, promise: EventLoopPromise<Void>?) {
        byteCount += bytes.readableBytes
        pieces.append(Piece(bytes: bytes, promise: promise))
        checkInvariants()
    }

    mutating func flush() {
        guard !pieces.isEmpty else { return }
        pieces.mark()
        flushedBytes = byteCount
    }

    /// Takes the next bytes out of the first flushed piece, at most `limit` of them, and its promise if the piece ends
    /// with them. An empty piece gives 0 bytes; `nil` if nothing is flushed, or `limit` is used up.
    mutating func next(limit: Int) -> Piece? {
        assert(limit >= 0, "a frame has no room below zero")
        guard pieces.hasMark, let first = pieces.first else { return nil }
        let available = first.bytes.readableBytes
        guard available == 0 || limit > 0 else { return nil }
        let count = min(available, limit)
        byteCount -= count
        flushedBytes -= count
        defer { checkInvariants() }
        if count == available { return pieces.removeFirst() }
        let part = pieces[pieces.startIndex].bytes.readSlice(length: count)
        return part.map { Piece(bytes: $0, promise: nil) }
    }

    // What is given up is returned, for whoever has written it to be told when the queue is at rest: that is code of
    // the application, which may use the channel and with it the queue.

    /// Gives up what has not been flushed.
    mutating func removeUnflushed() -> MarkedCircularBuffer<Piece> {
        var kept = MarkedCircularBuffer<Piece>(initialCapacity: 4)
        while pieces.hasMark { kept.append(pieces.removeFirst()) }
        if !kept.isEmpty { kept.mark() }
        let rest = pieces
        pieces = kept
        byteCount = flushedBytes
        checkInvariants()
        return rest
    }

    /// Gives up everything.
    mutating func removeAll() -> MarkedCircularBuffer<Piece> {
        let all = pieces
        pieces = MarkedCircularBuffer(initialCapacity: 1)
        byteCount = 0
        flushedBytes = 0
        return all
    }

    /// Up to so many pieces are counted every time.
    private static let piecesLookedAt = 32

    func checkInvariants() {
        #if DEBUG
        assert(0...byteCount ~= flushedBytes, "only what was written has been flushed")
        assert(flushedBytes == 0 || pieces.hasMark, "flushed bytes stand before a mark")
        assert(byteCount == 0 || !pieces.isEmpty, "bytes that wait to be sent are in pieces")
        guard pieces.count <= Self.piecesLookedAt else { return }
        assert(byteCount == pieces.reduce(0) { $0 + $1.bytes.readableBytes }, "bytes that wait to be sent are counted")
        #endif
    }
}

extension Sequence where Element == OutboundQueue.Piece {
    /// Tells whoever has written them.
    func fail(_ error: any Error) {
        for piece in self { piece.promise?.fail(error) }
    }
}
