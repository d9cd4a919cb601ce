import NIOCore

/// What has been received on a stream and not been read yet. Its bytes are bounded by the stream's window; this keeps
/// the memory behind them in proportion, however small the pieces are in which they come.
struct InboundQueue {
    private var pieces = CircularBuffer<ByteBuffer>()
    private(set) var byteCount = 0
    /// The last piece is a buffer of ours with room for more.
    private var lastIsOpen = false

    /// A piece is kept as it is if its memory is at most so many times larger: it shares that with its neighbours.
    private static let slack = 8
    /// How large buffers of small pieces get.
    private static let gathered = 32 << 10

    var isEmpty: Bool { pieces.isEmpty }

    mutating func append(_ piece: ByteBuffer, allocator: ByteBufferAllocator) {
        guard piece.readableBytes > 0 else { return }
        defer { checkInvariants() }
        byteCount += piece.readableBytes
        if piece.readableBytes * Self.slack >= piece.storageCapacity {
            pieces.append(piece)
            lastIsOpen = false
            return
        }
        if lastIsOpen, pieces[pieces.index(before: pieces.endIndex)].readableBytes < Self.gathered {
            pieces[pieces.index(before: pieces.endIndex)].writeImmutableBuffer(piece)
            return
        }
        var own = allocator.buffer(capacity: max(piece.readableBytes, 256))
        own.writeImmutableBuffer(piece)
        pieces.append(own)
        lastIsOpen = true
    }

    mutating func popFirst() -> ByteBuffer? {
        guard let piece = pieces.popFirst() else { return nil }
        byteCount -= piece.readableBytes
        if pieces.isEmpty { lastIsOpen = false }
        checkInvariants()
        return piece
    }

    /// Takes the first bytes away, which have to be there.
    mutating func drop(_ count: Int) {
        precondition(0...byteCount ~= count, "only what has come is dropped")
        var left = count
        while left > 0, let first = pieces.first {
            if first.readableBytes > left {
                pieces[pieces.startIndex].moveReaderIndex(forwardBy: left)
                byteCount -= left
                return
            }
            left -= first.readableBytes
            _ = popFirst()
        }
    }

    /// The first bytes in one piece, as many as there are up to a limit. For headers in front of the data.
    func peek(limit: Int) -> ByteBuffer {
        assert(limit > 0, "a limit has room for a byte")
        var result = ByteBuffer()
        for piece in pieces {
            let count = min(limit - result.readableBytes, piece.readableBytes)
            if let part = piece.getSlice(at: piece.readerIndex, length: count) { result.writeImmutableBuffer(part) }
            if result.readableBytes == limit { break }
        }
        return result
    }

    /// - Returns: how many bytes that were.
    mutating func removeAll() -> Int {
        defer { byteCount = 0 }
        pieces.removeAll()
        lastIsOpen = false
        return byteCount
    }

    /// Up to so many pieces are counted every time.
    private static let piecesLookedAt = 32

    func checkInvariants() {
        #if DEBUG
        assert(pieces.isEmpty == (byteCount == 0), "no piece is empty, and none is left out of the count")
        assert(!lastIsOpen || !pieces.isEmpty, "only a piece that there is has room for more")
        guard pieces.count <= Self.piecesLookedAt else { return }
        assert(byteCount == pieces.reduce(0) { $0 + $1.readableBytes }, "bytes that wait to be read are counted")
        #endif
    }
}
