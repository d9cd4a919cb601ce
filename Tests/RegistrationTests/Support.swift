import Registration

/// A small generator whose whole state is its seed, so that a failure can be repeated (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

extension RegistrationDecoder {
    /// Feeds the bytes in pieces of at most that size, until the registration has ended.
    /// - Returns: how many were consumed.
    mutating func receive(_ bytes: [UInt8], pieces: Int) -> Int {
        var consumed = 0
        while consumed < bytes.count, case .needsMore = state {
            let piece = Array(bytes[consumed..<min(consumed + pieces, bytes.count)])
            consumed += receive(piece.span)
        }
        return consumed
    }
}

/// What becomes of bytes that arrive at once.
func decoded(_ bytes: [UInt8]) -> RegistrationDecoder.State {
    var decoder = RegistrationDecoder()
    _ = decoder.receive(bytes.span)
    return decoder.state
}

/// An integer as it travels.
func integer(_ value: Int) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (56 - 8 * $0)) }
}

/// A string as it travels.
func string(_ text: String) -> [UInt8] {
    integer(text.utf8.count) + text.utf8
}

/// The beginning of a registration, flags included.
func opening(address: String = "", port: Int = 8_000, flags: UInt8) -> [UInt8] {
    string(address) + integer(port) + [flags]
}
