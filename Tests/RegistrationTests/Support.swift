import Registration

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
