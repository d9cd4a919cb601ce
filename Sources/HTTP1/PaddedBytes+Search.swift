/// The searches of the hot path: sixteen bytes at a time, each clamped to the end of the bytes.
///
/// Each compares a block and reads the mask as two words; the first byte that counts is the lowest set byte. SSE2's
/// movemask would save an instruction or two, at the price of a C module.
extension PaddedBytes {
    /// The first byte that may not stand in a token (RFC 9110 §5.6.2), or ``count``.
    @_noLocks @inline(__always) func endOfToken(from start: Int) -> Int {
        var index = start
        while index < count {
            let bytes = block(at: index)
            let letters = (bytes | Block(repeating: 0x20)) &- Block(repeating: 0x61)
            let digits = bytes &- Block(repeating: 0x30)
            let others =
                (letters .> Block(repeating: 25)) .& (digits .> Block(repeating: 9))
                .& (bytes .!= Block(repeating: Ascii.dash))
            guard let stop = Self.firstByte(of: others) else {
                index &+= 16
                continue
            }
            index &+= stop
            // Letters, digits and dashes are all that names usually hold; the other token bytes are rare.
            if index >= count || !Ascii.isToken(self[index]) { break }
            index &+= 1
        }
        return min(index, count)
    }

    /// The first control other than HTAB, or ``count``: where a field value or a reason phrase ends.
    @_noLocks @inline(__always) func endOfText(from start: Int) -> Int {
        var index = start
        while index < count {
            // Values are the bulk of a head: two blocks a turn.
            let one = Self.controls(block(at: index))
            let two = Self.controls(block(at: index &+ 16))
            if Self.firstByte(of: one .| two) != nil {
                let stop = Self.firstByte(of: one) ?? 16 &+ (Self.firstByte(of: two) ?? 16)
                return min(index &+ stop, count)
            }
            index &+= 32
        }
        return count
    }

    @_noLocks @inline(__always) private static func controls(_ bytes: Block) -> SIMDMask<SIMD16<Int8>> {
        (bytes .< Block(repeating: 0x20)) .& (bytes .!= Block(repeating: Ascii.tab))
            .| (bytes .== Block(repeating: Ascii.delete))
    }

    /// The first control, space or `#`, or ``count``: where a request target ends.
    @_noLocks @inline(__always) func endOfTarget(from start: Int) -> Int {
        var index = start
        while index < count {
            let bytes = block(at: index)
            let stops =
                (bytes .<= Block(repeating: Ascii.space)) .| (bytes .== Block(repeating: Ascii.delete))
                .| (bytes .== Block(repeating: Ascii.hash))
            if let stop = Self.firstByte(of: stops) { return min(index &+ stop, count) }
            index &+= 16
        }
        return count
    }

    /// The first byte in a range that is neither letter, digit, dash, underscore nor a dot that follows no dot, or the
    /// end of the range. - Precondition: there is a byte before the range.
    @_noLocks @inline(__always) func endOfName(from start: Int, to end: Int) -> Int {
        assert(start > 0)
        var index = start
        while index < end {
            let bytes = block(at: index)
            let letters = (bytes | Block(repeating: 0x20)) &- Block(repeating: 0x61)
            let digits = bytes &- Block(repeating: 0x30)
            let dots = bytes .== Block(repeating: Ascii.dot)
            let dotsBefore = block(at: index &- 1) .== Block(repeating: Ascii.dot)
            let others =
                (letters .> Block(repeating: 25)) .& (digits .> Block(repeating: 9))
                .& (bytes .!= Block(repeating: Ascii.dash)) .& (bytes .!= Block(repeating: Ascii.underscore))
            let stops = (others .& .!dots) .| (dots .& dotsBefore)
            if let stop = Self.firstByte(of: stops) { return min(index &+ stop, end) }
            index &+= 16
        }
        return end
    }

    /// The first byte in a range that may end or change a path: `?`, `%`, or a dot after a slash; or the end of the
    /// range.
    /// - Precondition: there is a byte before the range.
    @_noLocks @inline(__always) func endOfPlainPath(from start: Int, to end: Int) -> Int {
        assert(start > 0)
        var index = start
        while index < end {
            let bytes = block(at: index)
            let stops =
                (bytes .== Block(repeating: Ascii.question)) .| (bytes .== Block(repeating: Ascii.percent))
                .| (bytes .== Block(repeating: Ascii.dot))
                .& (block(at: index &- 1) .== Block(repeating: Ascii.slash))
            if let stop = Self.firstByte(of: stops) { return min(index &+ stop, end) }
            index &+= 16
        }
        return end
    }

    /// The first line feed, or ``count``.
    @_noLocks @inline(__always) func lineFeed(from start: Int) -> Int {
        var index = start
        while index < count {
            let feeds = block(at: index) .== Block(repeating: Ascii.lineFeed)
            if let stop = Self.firstByte(of: feeds) { return min(index &+ stop, count) }
            index &+= 16
        }
        return count
    }

    /// The index of the first byte that is set in a mask, or nil if none is.
    @inline(__always)
    private static func firstByte(of mask: SIMDMask<SIMD16<Int8>>) -> Int? {
        // The mask of sixteen bytes is sixteen bytes itself: all ones or all zeros each.
        let halves = unsafe unsafeBitCast(mask, to: SIMD2<UInt64>.self)
        if halves[0] | halves[1] == 0 { return nil }
        if halves[0] != 0 { return UInt64(littleEndian: halves[0]).trailingZeroBitCount &>> 3 }
        return 8 &+ UInt64(littleEndian: halves[1]).trailingZeroBitCount &>> 3
    }
}
