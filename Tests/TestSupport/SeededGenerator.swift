/// A small generator whose whole state is its seed, so that a failure can be repeated on any machine (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }

    /// True once in `count` times.
    public mutating func oneIn(_ count: UInt64) -> Bool { next() % count == 0 }

    public mutating func number(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(next() % UInt64(range.upperBound - range.lowerBound + 1))
    }

    /// A number of any magnitude up to `2^bits`: small and large ones are equally likely.
    public mutating func magnitude(bits: Int) -> UInt64 {
        let size = UInt64.random(in: 0...UInt64(bits), using: &self)
        return UInt64.random(in: 0...(1 << size), using: &self)
    }
}
