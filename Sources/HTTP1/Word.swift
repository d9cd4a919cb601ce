/// Eight bytes of text in a machine word, the first byte lowest, as a load on a little-endian machine gives them.
enum Word {
    /// The bit that tells lower-case letters from upper-case ones, in each byte.
    @inline(__always) static var lowerCase: UInt64 { @_noLocks get { 0x2020_2020_2020_2020 } }

    /// Up to eight bytes of a literal from `start` on, zeros behind its end. Folds to a constant in optimised builds.
    @_noLocks @inline(__always) static func of(_ literal: StaticString, from start: Int = 0) -> UInt64 {
        var word: UInt64 = 0
        var index = min(start &+ 8, literal.utf8CodeUnitCount)
        while index > start {
            index &-= 1
            word = word &<< 8 | UInt64(unsafe literal.utf8Start[index])
        }
        return word
    }

    /// One byte of a literal. - Precondition: it has more than `index`.
    @_noLocks @inline(__always) static func byte(of literal: StaticString, at index: Int) -> UInt8 {
        assert(index >= 0 && index < literal.utf8CodeUnitCount)
        return unsafe literal.utf8Start[index]
    }

    /// The first `count` bytes of a word, zeros behind them. - Precondition: `count` is 1 to 8.
    @_noLocks @inline(__always) static func first(_ count: Int, of word: UInt64) -> UInt64 {
        word & (UInt64.max &>> UInt64(truncatingIfNeeded: 64 &- count &* 8))
    }
}
