/// Finds the end of a head that arrives in pieces, each byte looked at once, so that a slow head is not scanned again
/// and again.
///
/// Made for one head, and given **all** of it from its first byte on, whoever has looked at some of that before: begun
/// in the middle, it takes the end of a line for empty lines before the head, or misses half of an empty line.
/// ``advance(_:)`` is called with each piece of a request until it finds the end or ``byteCount`` has reached the
/// limit, ``advanceInReply(_:)`` with those of a reply. Then the whole is scanned, which judges it. The finder stops at
/// everything that the scan of a request is sure to refuse: a line feed without a carriage return, or too many empty
/// lines before the head.
@frozen public struct HeadEndFinder: Sendable, BitwiseCopyable {
    @usableFromInline var total = 0
    @usableFromInline var last: UInt8 = 0
    @usableFromInline var lastButOne: UInt8 = 0
    @usableFromInline var hasStarted = false

    @_noLocks public init() {}

    /// Bytes looked at so far; the end included, if it has been found.
    @inlinable public var byteCount: Int { @_noLocks get { total } }

    /// Looks at the next piece of a request's head.
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
        return pass(piece)
    }

    /// Looks at the next piece of a reply's head, whose lines may end with a line feed alone (RFC 9112 §2.2). Such a
    /// head is scanned once ``ResponseHead/mendLineEnds(_:to:)`` has made its line ends whole.
    ///
    /// - Parameter bytes: the piece; 64 more bytes behind it are readable.
    /// - Returns: the offset in this piece just after the end of the head, or -1 if the head goes on.
    @_noLocks public mutating func advanceInReply(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let piece = unsafe PaddedBytes(bytes) else { return -1 }
        if total == 0 {
            // An empty line at the start ends the head: there is no status line that the scan could take.
            last = Ascii.lineFeed
            lastButOne = Ascii.lineFeed
        }
        var position = 0
        while position < piece.count {
            position = piece.lineFeed(from: position)
            if position == piece.count { break }
            let before = position > 0 ? piece[position &- 1] : last
            let beforeThat = position > 1 ? piece[position &- 2] : position > 0 ? last : lastButOne
            position &+= 1
            let endsEmptyLine = before == Ascii.carriageReturn && beforeThat == Ascii.lineFeed
            if endsEmptyLine || before == Ascii.lineFeed { return found(at: position) }
        }
        return pass(piece)
    }

    /// The end is not in the piece: keeps what tells the next one whether a line is empty.
    @_noLocks private mutating func pass(_ piece: PaddedBytes) -> Int {
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
