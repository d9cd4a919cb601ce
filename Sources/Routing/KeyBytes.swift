/// How the bytes of keys and of what clients ask for are read: words of 8 bytes, little endian, never a byte outside of
/// the text. Short words are filled up with zeros.
enum KeyBytes {
    /// The 8 bytes from `offset` on, all of which must belong to the text.
    @inline(__always)
    @_noLocks static func word(_ text: UnsafeRawPointer, at offset: Int) -> UInt64 {
        unsafe UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The `count` bytes (0..<8) from `offset` on.
    /// - Parameter total: how long the whole text is, that is how far a load may reach.
    @inline(__always)
    @_noLocks static func shortWord(_ text: UnsafeRawPointer, at offset: Int, count: Int, total: Int) -> UInt64 {
        if count == 0 {
            return 0
        }
        let unusedBits = UInt64(truncatingIfNeeded: 64 &- 8 &* count)
        if offset &+ 8 <= total {
            return unsafe (word(text, at: offset) << unusedBits) >> unusedBits
        }
        if offset &+ count >= 8 {
            return unsafe word(text, at: offset &+ count &- 8) >> unusedBits
        }
        return unsafe bytewise(text, at: offset, count: count)
    }

    /// The same for texts of less than 8 bytes, around which nothing may be read.
    @_noLocks private static func bytewise(_ text: UnsafeRawPointer, at offset: Int, count: Int) -> UInt64 {
        var result: UInt64 = 0
        for index in 0..<count {
            let byte = unsafe text.load(fromByteOffset: offset &+ index, as: UInt8.self)
            result |= UInt64(byte) << UInt64(truncatingIfNeeded: 8 &* index)
        }
        return result
    }

    /// Turns the ASCII capitals among 8 bytes into small letters and leaves the others alone.
    @inline(__always)
    @_noLocks static func folded(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        // Sums of 7-bit values cannot carry into the next byte; bit 7 of each says whether the border was reached.
        let low = word & (0x7f &* ones)
        let fromA = low &+ (0x80 &- 0x41) &* ones
        let beyondZ = low &+ (0x80 &- 0x5b) &* ones
        let capitals = fromA & ~beyondZ & ~word & (0x80 &* ones)
        return word | capitals >> 2
    }

    /// Whether `count` bytes of the text from `offset` on are those of a stored key. Keys are filled up to whole words.
    @_noLocks static func isEqual(
        key: UnsafeRawPointer, to text: UnsafeRawPointer, at offset: Int, count: Int, total: Int, folding: Bool
    ) -> Bool {
        var done = 0
        while done < count {
            let left = count &- done
            let word =
                left >= 8
                ? unsafe word(text, at: offset &+ done)
                : unsafe shortWord(text, at: offset &+ done, count: left, total: total)
            guard unsafe (folding ? folded(word) : word) == self.word(key, at: done) else {
                return false
            }
            done &+= 8
        }
        return true
    }
}

/// A keyed hash over words. Services choose the keys, so the seed is a secret of the process.
struct KeyHash {
    private var state: UInt64

    /// - Parameter owner: what the key belongs to, so that one table can serve all listeners or all domains. It is
    ///   mixed with the seed: if it were only added, words could be chosen that make up for the difference of two.
    @inline(__always)
    @_noLocks init(seed: UInt64, owner: Int32) {
        state = Self.mixed(seed ^ UInt64(UInt32(bitPattern: owner)), 0x9e37_79b9_7f4a_7c15)
    }

    @inline(__always)
    @_noLocks mutating func absorb(_ word: UInt64) {
        state = Self.mixed(state ^ word, 0xd6e8_feb8_6659_fd93)
    }

    /// The hash of all words so far, of a short one behind them, and of the length in bytes.
    @inline(__always)
    @_noLocks func finished(_ rest: UInt64, count: Int) -> UInt64 {
        let sum = Self.mixed(state ^ rest, 0xa076_1d64_78bd_642f)
        return Self.mixed(sum ^ UInt64(truncatingIfNeeded: count), 0xbf58_476d_1ce4_e5b9)
    }

    @inline(__always)
    @_noLocks private static func mixed(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let product = left.multipliedFullWidth(by: right)
        return product.high ^ product.low
    }
}

/// Hashes the suffixes of a host, shorter ones first, reading each byte once. Capitals are folded.
struct SuffixHasher {
    private var hash: KeyHash
    private var absorbed = 0

    @inline(__always)
    @_noLocks init(seed: UInt64, listener: Int32) {
        hash = KeyHash(seed: seed, owner: listener)
    }

    /// - Parameter count: length of the suffix; not less than the time before, at most `total`.
    @inline(__always)
    @_noLocks mutating func hash(suffix count: Int, of text: UnsafeRawPointer, total: Int) -> UInt64 {
        while absorbed &+ 8 <= count {
            absorbed &+= 8
            unsafe hash.absorb(KeyBytes.folded(KeyBytes.word(text, at: total &- absorbed)))
        }
        let rest = unsafe KeyBytes.shortWord(text, at: total &- count, count: count &- absorbed, total: total)
        return hash.finished(KeyBytes.folded(rest), count: count)
    }
}

/// Hashes the prefixes of a path, shorter ones first, reading each byte once.
struct PrefixHasher {
    private var hash: KeyHash
    private var absorbed = 0

    @inline(__always)
    @_noLocks init(seed: UInt64, domain: Int32) {
        hash = KeyHash(seed: seed, owner: domain)
    }

    /// - Parameter count: length of the prefix; not less than the time before, at most `total`.
    @inline(__always)
    @_noLocks mutating func hash(prefix count: Int, of text: UnsafeRawPointer, total: Int) -> UInt64 {
        while absorbed &+ 8 <= count {
            unsafe hash.absorb(KeyBytes.word(text, at: absorbed))
            absorbed &+= 8
        }
        let rest = unsafe KeyBytes.shortWord(text, at: absorbed, count: count &- absorbed, total: total)
        return hash.finished(rest, count: count)
    }
}
