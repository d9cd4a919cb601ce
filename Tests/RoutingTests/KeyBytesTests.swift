import Testing
import TestSupport

@testable import Routing

@Test func `folding a word is folding each of its bytes`() {
    for byte in UInt8(0)...255 {
        let expected = (0x41...0x5a).contains(byte) ? byte + 0x20 : byte
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            // What lies beside a byte neither changes it nor is changed by it.
            for neighbours in [0, UInt64.max, 0x5b40_5b40_5b40_5b40] {
                let mask = ~(UInt64(0xff) << shift)
                let word = neighbours & mask | UInt64(byte) << shift
                let folded = KeyBytes.folded(word)
                #expect(folded & ~mask == UInt64(expected) << shift)
                #expect(folded & mask == KeyBytes.folded(neighbours & mask) & mask)
            }
        }
    }
}

@Test func `a short word is the bytes that it is asked for, wherever they lie`() {
    for total in 0...24 {
        let bytes = (0..<total).map { UInt8(0xf0 ^ $0) }
        unsafe withExactBytes(bytes) { text in
            for offset in 0...total {
                for count in 0...min(7, total - offset) {
                    var expected: UInt64 = 0
                    for (index, byte) in bytes[offset..<offset + count].enumerated() {
                        expected |= UInt64(byte) << UInt64(8 * index)
                    }
                    guard count > 0, let base = text.baseAddress else { continue }
                    #expect(unsafe KeyBytes.shortWord(base, at: offset, count: count, total: total) == expected)
                }
            }
        }
    }
}

@Test func `hashes of parts are the hashes of the parts alone`() {
    var generator = SeededGenerator(seed: 42)
    for total in 1...70 {
        let bytes = (0..<total).map { _ in UInt8.random(in: 0x61...0x7a, using: &generator) }
        unsafe withExactBytes(bytes) { text in
            guard let base = text.baseAddress else { return }
            var suffixes = SuffixHasher(seed: 5, listener: 1)
            var prefixes = PrefixHasher(seed: 5, domain: 1)
            for count in 1...total {
                let suffix = unsafe suffixes.hash(suffix: count, of: base, total: total)
                let prefix = unsafe prefixes.hash(prefix: count, of: base, total: total)
                unsafe withExactBytes(bytes.suffix(count)) { alone in
                    var hasher = SuffixHasher(seed: 5, listener: 1)
                    #expect(unsafe hasher.hash(suffix: count, of: alone.baseAddress!, total: count) == suffix)
                }
                unsafe withExactBytes(Array(bytes.prefix(count))) { alone in
                    var hasher = PrefixHasher(seed: 5, domain: 1)
                    #expect(unsafe hasher.hash(prefix: count, of: alone.baseAddress!, total: count) == prefix)
                }
            }
        }
    }
}

@Test func `hashes of similar keys, owners and seeds differ`() {
    var seen: Set<UInt64> = []
    var count = 0
    for seed in (UInt64(0)..<4).map({ $0 &* 0x2545_f491_4f6c_dd1d }) {
        for owner in Int32(0)..<8 {
            for length in 1...32 {
                for letter in [0x61, 0x62, 0] as [UInt8] {
                    unsafe withExactBytes([UInt8](repeating: letter, count: length)) { text in
                        var hasher = PrefixHasher(seed: seed, domain: owner)
                        seen.insert(unsafe hasher.hash(prefix: length, of: text.baseAddress!, total: length))
                        count += 1
                    }
                }
            }
        }
    }
    #expect(seen.count == count)
}
