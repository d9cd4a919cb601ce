/// Follows a chunked body (RFC 9112 §7.1) through pieces of any size, and tells where it ends.
///
/// Made for one body; each byte is given once. Of a request ``advance(_:consumed:)`` passes the chunks as they are, and
/// once ``isInTrailers`` says so, ``advanceTrailers(_:consumed:)`` the rest, which goes on through a ``TrailerFilter``.
/// Of a reply ``advanceReply(_:consumed:blanks:)`` passes everything, or ``nextData(_:offset:status:)`` takes the data
/// out of the chunks.
///
/// Strict, because a body that two programs see end in two places hides a request: sizes are hexadecimal digits and
/// nothing else, lines end with CRLF, and extensions, which are passed over, are bounded like the trailer fields. In
/// replies alone blanks may stand between a size and the end of its line: some services pad their sizes.
@frozen public struct ChunkedReader: Sendable, BitwiseCopyable {
    /// What the bytes so far came to.
    public enum Status: UInt8, Sendable, BitwiseCopyable {
        /// The body goes on.
        case more
        /// The body has ended, trailer fields included.
        case finished
        /// The body is none; where it ends cannot be known.
        case broken

        // The compiler's own comparisons make no promise about locks, and functions that do may not call them.
        @_noLocks @inlinable public static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }
        @_noLocks @inlinable public static func != (left: Self, right: Self) -> Bool { left.rawValue != right.rawValue }
    }

    /// What is expected next.
    @usableFromInline enum State: UInt8, Sendable, BitwiseCopyable {
        case size, sizeOrEnd, extensionText, quotedText, quotedByte, sizeLineFeed
        case dataReturn, dataLineFeed
        case trailer, trailerName, trailerValue, trailerLineFeed, lastLineFeed
        // Where not every byte is one of the framing, which is passed in a loop of its own.
        case data, blank, firstTrailer
        case finished, broken
    }

    /// The most bytes between a chunk's size and the end of its line.
    public static var extensionLimit: Int { @_noLocks get { 4096 } }
    /// The most trailer fields.
    public static var trailerFieldLimit: Int { @_noLocks get { 128 } }

    @usableFromInline var remaining: UInt64 = 0
    @usableFromInline var trailerLimit: UInt32
    /// Bytes of the present extension, or of all trailer fields so far.
    @usableFromInline var lineBytes: UInt32 = 0
    @usableFromInline var sizeDigits: UInt8 = 0
    @usableFromInline var trailerFields: UInt8 = 0
    @usableFromInline var state = State.size

    /// A reader whose trailer section may have 64 KiB.
    @_noLocks @inlinable public init() { trailerLimit = 65_536 }

    /// - Parameter trailerLimit: bytes that the trailer section may have at most, its empty line included.
    /// - Precondition: 2 to 2^30.
    @_noLocks @inlinable public init(trailerLimit: Int) {
        precondition(trailerLimit >= 2 && trailerLimit <= 1 << 30, "a trailer section is bounded")
        self.trailerLimit = UInt32(trailerLimit)
    }

    /// Where the body stands.
    @inlinable public var status: Status {
        @_noLocks get {
            switch state {
            case .finished: .finished
            case .broken: .broken
            default: .more
            }
        }
    }

    /// Whether the trailer fields have begun and not ended. A body without any is never in them.
    @inlinable public var isInTrailers: Bool {
        @_noLocks get {
            switch state {
            case .firstTrailer, .trailerName, .trailerValue, .trailerLineFeed: true
            case .trailer, .lastLineFeed: trailerFields > 0
            default: false
            }
        }
    }

    /// Passes as many bytes of a request as belong to the body, but no trailer field.
    ///
    /// - Parameters:
    ///   - bytes: the next bytes of the stream.
    ///   - consumed: set to how many of them, from the first one on, belong to the body. If it is broken, the bytes
    ///     before the fault; none of the rest may be passed on. If ``isInTrailers`` is true then, those before the
    ///     first trailer field, although the body goes on.
    /// - Precondition: not ``isInTrailers``.
    @_noLocks public mutating func advance(_ bytes: UnsafeRawBufferPointer, consumed: inout Int) -> Status {
        assert(!isInTrailers, "trailer fields go through advanceTrailers")
        var index = 0
        repeat {
            unsafe passFraming(bytes, &index, stopsAtTrailers: true)
        } while unsafe passData(bytes.count, &index) || state == .blank && passBlanks(bytes, &index, isReply: false)
        consumed = index
        return status
    }

    /// Passes as many bytes of a request's trailer fields as belong to the body, the empty line included.
    ///
    /// - Parameters:
    ///   - bytes: the next bytes of the stream.
    ///   - consumed: as of ``advance(_:consumed:)``. They go on through a ``TrailerFilter``.
    /// - Precondition: ``isInTrailers``.
    @_noLocks public mutating func advanceTrailers(_ bytes: UnsafeRawBufferPointer, consumed: inout Int) -> Status {
        assert(isInTrailers, "what is no trailer field goes through advance")
        var index = 0
        if state == .firstTrailer && bytes.count > 0 { state = .trailer }
        unsafe passFraming(bytes, &index, stopsAtTrailers: false)
        consumed = index
        return status
    }

    /// Passes as many bytes of a reply as belong to the body, trailer fields included.
    ///
    /// Blanks between a chunk's size and what follows are not for the client: the reader stops there, and the caller
    /// goes on behind them.
    ///
    /// - Parameters:
    ///   - bytes: the next bytes of the stream.
    ///   - consumed: as of ``advance(_:consumed:)``, up to the blanks if there are any.
    ///   - blanks: set to how many bytes behind those are to be skipped; what follows them is given next.
    @_noLocks
    public mutating func advanceReply(
        _ bytes: UnsafeRawBufferPointer, consumed: inout Int, blanks: inout Int
    ) -> Status {
        var index = 0
        blanks = 0
        if state == .blank, unsafe !goOnBehindBlanks(bytes, &index, &blanks) {
            consumed = index &- blanks
            return status
        }
        repeat {
            unsafe passFraming(bytes, &index, stopsAtTrailers: false)
        } while passData(bytes.count, &index)
        consumed = index
        if state == .blank {
            // The first one has been passed.
            blanks = unsafe 1 &+ skipBlanks(bytes, index)
            consumed &-= 1
        }
        return status
    }

    /// Gives the next run of data of a reply, and passes over everything else, trailer fields included.
    ///
    /// - Parameters:
    ///   - bytes: the next bytes of the stream.
    ///   - offset: where in `bytes` to go on; moved behind the run, or behind all bytes of the body.
    ///   - status: set to where the body stands behind the run.
    /// - Returns: a run in `bytes`; empty if there is no more in them.
    @_noLocks public mutating func nextData(
        _ bytes: UnsafeRawBufferPointer, offset: inout Int, status: inout Status
    ) -> ByteRange {
        var index = offset
        repeat {
            unsafe passFraming(bytes, &index, stopsAtTrailers: false)
        } while unsafe state == .blank && passBlanks(bytes, &index, isReply: true)
        let start = index
        // Ranges are counted in 32 bits.
        index &+= takeData(min(bytes.count &- index, Int(Int32.max)))
        offset = index
        status = self.status
        return start == index ? ByteRange() : ByteRange(start, index)
    }

    /// Takes up to `available` bytes of data off the chunk.
    ///
    /// - Returns: how many; 0 unless data is expected.
    @_noLocks @inline(__always) private mutating func takeData(_ available: Int) -> Int {
        guard state == .data, available > 0 else { return 0 }
        let run = min(remaining, UInt64(available))
        remaining &-= run
        if remaining == 0 { state = .dataReturn }
        return Int(run)
    }

    /// Passes bytes until data is expected, a blank follows a size, a first trailer field begins, the body has ended or
    /// broken, or there are no more.
    @inline(__always)
    private mutating func passFraming(_ bytes: UnsafeRawBufferPointer, _ index: inout Int, stopsAtTrailers: Bool) {
        while index < bytes.count && state.rawValue < State.data.rawValue {
            let byte = unsafe bytes[index]
            if state.rawValue < State.trailer.rawValue {
                state = afterSize(byte)
            } else if stopsAtTrailers && state == .trailer && Ascii.isToken(byte) {
                state = .firstTrailer
                return
            } else {
                state = afterTrailer(byte)
            }
            if state == .broken { return }
            index &+= 1
        }
    }

    /// - Returns: whether there was data to pass.
    @_noLocks @inline(__always) private mutating func passData(_ end: Int, _ index: inout Int) -> Bool {
        let run = takeData(end &- index)
        index &+= run
        return run > 0
    }

    // MARK: Blanks behind a size

    /// Passes blanks, and the byte that ends them.
    ///
    /// - Returns: whether the body goes on behind them.
    @inline(never)
    private mutating func passBlanks(_ bytes: UnsafeRawBufferPointer, _ index: inout Int, isReply: Bool) -> Bool {
        unsafe index &+= skipBlanks(bytes, index)
        if index == bytes.count || state == .broken { return false }
        let byte = unsafe bytes[index]
        // RFC 9112 §7.1.1 allows blanks before the semicolon; blanks before the line end it does not.
        state = byte == Ascii.semicolon ? .extensionText : .broken
        if byte == Ascii.carriageReturn && isReply { state = .sizeLineFeed }
        if state == .broken { return false }
        index &+= 1
        return true
    }

    /// The same at the start of a piece, where blanks are reported.
    @inline(never)
    private mutating func goOnBehindBlanks(
        _ bytes: UnsafeRawBufferPointer, _ index: inout Int, _ blanks: inout Int
    ) -> Bool {
        blanks = unsafe skipBlanks(bytes, 0)
        index = blanks
        return unsafe blanks == 0 && passBlanks(bytes, &index, isReply: true)
    }

    /// Counts the blanks from `start` on, and breaks the body if there are too many on one line.
    @_noLocks private mutating func skipBlanks(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var index = start
        while index < bytes.count, unsafe Ascii.isBlank(bytes[index]) {
            lineBytes &+= 1
            if lineBytes > Self.extensionLimit {
                state = .broken
                break
            }
            index &+= 1
        }
        return index &- start
    }

    // MARK: The line with the size, and the line end behind the data

    @_noLocks @inline(__always) private mutating func afterSize(_ byte: UInt8) -> State {
        switch state {
        case .size, .sizeOrEnd:
            let digit = Ascii.hexValue(byte)
            return digit < 16 ? afterDigit(digit) : state == .size ? .broken : afterLastDigit(byte)
        case .extensionText, .quotedText, .quotedByte:
            return afterExtension(byte)
        case .sizeLineFeed:
            return byte == Ascii.lineFeed ? afterSizeLine() : .broken
        case .dataReturn:
            return byte == Ascii.carriageReturn ? .dataLineFeed : .broken
        case .dataLineFeed:
            if byte != Ascii.lineFeed { return .broken }
            sizeDigits = 0
            return .size
        default:
            return .broken
        }
    }

    /// Sixteen digits hold every size; a first one beyond 7 is a size that other programs' signed integers cannot hold.
    @_noLocks @inline(__always) private mutating func afterDigit(_ digit: UInt8) -> State {
        if sizeDigits == 16 || remaining >> 59 != 0 { return .broken }
        sizeDigits &+= 1
        remaining = remaining << 4 | UInt64(digit)
        return .sizeOrEnd
    }

    @_noLocks @inline(__always) private mutating func afterLastDigit(_ byte: UInt8) -> State {
        lineBytes = 0
        if byte == Ascii.carriageReturn { return .sizeLineFeed }
        if byte == Ascii.semicolon { return .extensionText }
        return Ascii.isBlank(byte) ? .blank : .broken
    }

    /// A quoted string that the line's end cuts off is refused: another program might read on to its other quote.
    @_noLocks @inline(__always) private mutating func afterExtension(_ byte: UInt8) -> State {
        lineBytes &+= 1
        if lineBytes > Self.extensionLimit { return .broken }
        if byte == Ascii.carriageReturn { return state == .extensionText ? .sizeLineFeed : .broken }
        if Ascii.isControl(byte) { return .broken }
        switch state {
        case .extensionText: return byte == Ascii.quote ? .quotedText : .extensionText
        case .quotedText:
            return byte == Ascii.quote ? .extensionText : byte == Ascii.backslash ? .quotedByte : .quotedText
        default: return .quotedText
        }
    }

    @_noLocks @inline(__always) private mutating func afterSizeLine() -> State {
        lineBytes = 0
        return remaining == 0 ? .trailer : .data
    }

    // MARK: Trailer fields, checked like those of a head

    @_noLocks private mutating func afterTrailer(_ byte: UInt8) -> State {
        lineBytes &+= 1
        if lineBytes > trailerLimit { return .broken }
        switch state {
        case .trailer:
            if byte == Ascii.carriageReturn { return .lastLineFeed }
            trailerFields &+= 1
            return Ascii.isToken(byte) && Int(trailerFields) <= Self.trailerFieldLimit ? .trailerName : .broken
        case .trailerName:
            return byte == Ascii.colon ? .trailerValue : Ascii.isToken(byte) ? .trailerName : .broken
        case .trailerValue:
            if byte == Ascii.carriageReturn { return .trailerLineFeed }
            return Ascii.isControl(byte) ? .broken : .trailerValue
        case .trailerLineFeed:
            return byte == Ascii.lineFeed ? .trailer : .broken
        case .lastLineFeed:
            return byte == Ascii.lineFeed ? .finished : .broken
        default:
            return .broken
        }
    }
}
