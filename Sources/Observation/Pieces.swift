internal import NIOCore

/// A body, in pieces that are made when they are wanted.
enum Pieces {
    case bytes(ByteBuffer)
    case metrics(MetricsText)

    /// - Returns: nil behind the last piece.
    mutating func next() -> ByteBuffer? {
        switch self {
        case .bytes(var bytes):
            guard bytes.readableBytes > 0 else { return nil }
            let piece = bytes.readSlice(length: min(bytes.readableBytes, Bounds.pieceBytes))
            self = .bytes(bytes)
            return piece
        case .metrics(var text):
            let piece = text.next(atLeast: Bounds.pieceBytes)
            self = .metrics(text)
            return piece
        }
    }
}
