/// Finds the end of a head that arrives in pieces, each byte looked at once, so that a slow head is not scanned again
/// and again.
///
/// Made for one head; ``advance(_:)`` is called with each piece until it finds the end or ``byteCount`` has reached the
/// limit. Then the whole is scanned, which judges it. The finder stops at everything that the scan is sure to refuse: a
/// line feed without a carriage return, or too many empty lines before the head.
@frozen public struct HeadEndFinder: Sendable, BitwiseCopyable {
    @usableFromInline var total = 0
    @usableFromInline var last: UInt8 = 0
    @usableFromInline var lastButOne: UInt8 = 0
    @usableFromInline var hasStarted = false

    @_noLocks public init() {}

    /// Bytes looked at so far; the end included, if it has been found.
    @inlinable public var byteCount: Int { @_noLocks get { total } }

    /// Looks at the next piece of the head.
    ///
    /// - Parameter bytes: the piece; 64 more bytes behind it are readable.
    /// - Returns: the offset in this piece just after the end of the head, or -1 if the head goes on.
    @_noLocks public mutating func advance(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let piece = unsafe PaddedBytes(bytes) else { return -1 }
        var position = 0
        if !hasStarted {
            position = skipEmptyLines(piece)
            if position < 0 { return found(at: -position) }
        }
        while position < piece.count {
            position = piece.lineFeed(from: position)
            if position == piece.count { break }
            let before = position > 0 ? piece[position &- 1] : last
            let beforeThat = position > 1 ? piece[position &- 2] : position > 0 ? last : lastButOne
            position &+= 1
            if before != Ascii.carriageReturn || beforeThat == Ascii.lineFeed { return found(at: position) }
        }
        total &+= piece.count
        lastButOne = piece.count > 1 ? piece[piece.count &- 2] : last
        last = piece[piece.count &- 1]
        return -1
    }

    @_noLocks private mutating func found(at position: Int) -> Int {
        total &+= position
        return position
    }

    /// - Returns: where the head starts, or the end of the piece; negative: there is a fault before that offset.
    @_noLocks private mutating func skipEmptyLines(_ piece: PaddedBytes) -> Int {
        var before = last
        for index in 0..<piece.count {
            let byte = piece[index]
            let isExpected = byte == Ascii.lineFeed ? before == Ascii.carriageReturn : before != Ascii.carriageReturn
            let isTooLong = total &+ index &+ 1 > 2 &* RequestLine.emptyLineLimit &+ 1
            if !isExpected { return -(index &+ 1) }
            if byte != Ascii.carriageReturn && byte != Ascii.lineFeed {
                hasStarted = true
                return index
            }
            if isTooLong { return -(index &+ 1) }
            before = byte
        }
        return piece.count
    }
}
