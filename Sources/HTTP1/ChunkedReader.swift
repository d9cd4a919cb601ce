/// Follows a chunked body (RFC 9112 §7.1) through pieces of any size, and tells where it ends.
///
/// Made for one body. Either ``advance(_:consumed:)`` is called, which passes chunks as they are, or
/// ``nextData(_:offset:status:)``, which takes the data out of them; each byte is given once. Strict, because a body
/// that two programs see end in two places hides a request: sizes are hexadecimal digits and nothing else, lines end
/// with CRLF, and extensions, which are passed over, are bounded like the trailer fields.
@frozen public struct ChunkedReader: Sendable, BitwiseCopyable {
    /// What the bytes so far came to.
    public enum Status: UInt8, Sendable {
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
        case size, sizeOrEnd, extensionOrBlank, extensionText, quotedText, quotedByte, sizeLineFeed
        case data, dataReturn, dataLineFeed
        case trailer, trailerName, trailerValue, trailerLineFeed, lastLineFeed
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

    /// Passes as many bytes as belong to the body.
    ///
    /// - Parameters:
    ///   - bytes: the next bytes of the stream.
    ///   - consumed: set to how many of them, from the first one on, belong to the body. If it is broken, the bytes
    ///     before the fault; none of the rest may be passed on.
    @_noLocks public mutating func advance(_ bytes: UnsafeRawBufferPointer, consumed: inout Int) -> Status {
        var index = 0
        while true {
            unsafe passFraming(bytes, &index)
            let run = takeData(bytes.count &- index)
            if run == 0 { break }
            index &+= run
        }
        consumed = index
        return status
    }

    /// Gives the next run of data.
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
        unsafe passFraming(bytes, &index)
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

    /// Passes bytes until data is expected, or the body has ended or broken, or there are no more.
    @_noLocks private mutating func passFraming(_ bytes: UnsafeRawBufferPointer, _ index: inout Int) {
        while index < bytes.count && state.rawValue < State.finished.rawValue && state != .data {
            let byte = unsafe bytes[index]
            state = state.rawValue >= State.trailer.rawValue ? afterTrailer(byte) : afterSize(byte)
            if state == .broken { return }
            index &+= 1
        }
    }

    // MARK: The line with the size, and the line end behind the data

    @_noLocks @inline(__always) private mutating func afterSize(_ byte: UInt8) -> State {
        switch state {
        case .size, .sizeOrEnd:
            let digit = Ascii.hexValue(byte)
            return digit < 16 ? afterDigit(digit) : state == .size ? .broken : afterLastDigit(byte)
        case .extensionOrBlank, .extensionText, .quotedText, .quotedByte:
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
        return byte == Ascii.carriageReturn ? .sizeLineFeed : afterExtensionBlank(byte)
    }

    /// RFC 9112 §7.1.1 allows blanks before the semicolon; blanks before the line end it does not.
    @_noLocks @inline(__always) private mutating func afterExtensionBlank(_ byte: UInt8) -> State {
        if byte == Ascii.semicolon { return .extensionText }
        return Ascii.isBlank(byte) ? .extensionOrBlank : .broken
    }

    /// A quoted string that the line's end cuts off is refused: another program might read on to its other quote.
    @_noLocks @inline(__always) private mutating func afterExtension(_ byte: UInt8) -> State {
        lineBytes &+= 1
        if lineBytes > Self.extensionLimit { return .broken }
        if byte == Ascii.carriageReturn { return state == .extensionText ? .sizeLineFeed : .broken }
        if Ascii.isControl(byte) { return .broken }
        switch state {
        case .extensionOrBlank: return afterExtensionBlank(byte)
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
