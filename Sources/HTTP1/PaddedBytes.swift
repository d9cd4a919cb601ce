/// Received bytes, behind which some more may be read, so that blocks and words can be loaded without looking at the
/// end.
///
/// What the bytes behind the end hold is undefined: every search clamps what it finds to ``count``, so that nothing
/// behind the end ever decides anything.
@safe struct PaddedBytes {
    typealias Block = SIMD16<UInt8>

    /// Bytes behind the end that the caller promises to be readable.
    static var readableBeyondEnd: Int { @_noLocks get { 64 } }

    /// Invariant: `count + readableBeyondEnd` bytes from here on are readable as long as this value is in use.
    private let start: UnsafeRawPointer
    private(set) var count: Int

    /// - Returns: nil if there is no byte.
    @_noLocks @inline(__always) init?(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return nil }
        unsafe start = base
        count = bytes.count
    }

    /// The same bytes, but no more than `limit` of them.
    @_noLocks @inline(__always) func limited(to limit: Int) -> PaddedBytes {
        var copy = self
        copy.count = min(count, limit)
        return copy
    }

    @inline(__always) subscript(index: Int) -> UInt8 {
        @_noLocks get {
            assert(index >= 0 && index < count &+ Self.readableBeyondEnd)
            return unsafe start.load(fromByteOffset: index, as: UInt8.self)
        }
    }

    @_noLocks @inline(__always) func word(at index: Int) -> UInt64 {
        assert(index >= 0 && index &+ 8 <= count &+ Self.readableBeyondEnd)
        return UInt64(littleEndian: unsafe start.loadUnaligned(fromByteOffset: index, as: UInt64.self))
    }

    @_noLocks @inline(__always) func block(at index: Int) -> Block {
        assert(index >= 0 && index &+ 16 <= count &+ Self.readableBeyondEnd)
        return unsafe start.loadUnaligned(fromByteOffset: index, as: Block.self)
    }

    /// The bytes of a range, for handing them out or copying them. - Precondition: the range lies within ``count``.
    @_noLocks @inline(__always) func raw(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "a range lies within the bytes")
        return unsafe UnsafeRawBufferPointer(start: start + range.lowerBound, count: range.count)
    }
}

extension PaddedBytes {
    /// Whether the bytes at `index` are `literal`, which has no upper-case letters, in any case.
    ///
    /// Exact where the bytes are known to hold no controls: setting the bit of case maps nothing else to a letter, a
    /// digit or a dash.
    @_noLocks @inline(__always) func equalsIgnoringCase(_ literal: StaticString, at index: Int) -> Bool {
        var offset = 0
        while offset < literal.utf8CodeUnitCount {
            let length = min(8, literal.utf8CodeUnitCount &- offset)
            let found = Word.first(length, of: word(at: index &+ offset) | Word.lowerCase)
            if found != Word.of(literal, from: offset) { return false }
            offset &+= 8
        }
        return true
    }

    /// Whether the range is `literal`, which has no upper-case letters, in any case.
    @_noLocks @inline(__always) func equalsIgnoringCase(_ literal: StaticString, in range: ByteRange) -> Bool {
        Int(range.count) == literal.utf8CodeUnitCount && equalsIgnoringCase(literal, at: range.lowerBound)
    }

    /// Whether the range is `literal`, which has no upper-case letters, in any case and with `_` for any of its `-`.
    @_noLocks func equalsFolding(_ literal: StaticString, in range: ByteRange) -> Bool {
        guard Int(range.count) == literal.utf8CodeUnitCount else { return false }
        for index in 0..<literal.utf8CodeUnitCount {
            let byte = Ascii.folded(self[range.lowerBound &+ index])
            if byte != Word.byte(of: literal, at: index) { return false }
        }
        return true
    }

    /// Whether two ranges hold the same token, in any case.
    @_noLocks func equalTokens(_ one: ByteRange, _ other: ByteRange) -> Bool {
        guard one.count == other.count else { return false }
        for index in 0..<Int(one.count) {
            let left = self[one.lowerBound &+ index], right = self[other.lowerBound &+ index]
            // Only letters have a case: `^` and `~`, both of them token bytes, differ in the same bit.
            if left != right && !(left ^ right == 0x20 && Ascii.isLetter(left)) { return false }
        }
        return true
    }

    /// The range without the spaces and tabs around it.
    @_noLocks @inline(__always) func trimmed(_ start: Int, _ end: Int) -> ByteRange {
        var start = start
        var end = end
        while start < end && Ascii.isBlank(self[start]) { start &+= 1 }
        while end > start && Ascii.isBlank(self[end &- 1]) { end &-= 1 }
        return ByteRange(start, end)
    }
}
