/// Bytes that stay for ever, with 64 readable ones behind them, as the scanners want them.
func padded(_ bytes: some Collection<UInt8>) -> UnsafeRawBufferPointer {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 64, alignment: 64)
    unsafe memory.copyBytes(from: bytes)
    for index in bytes.count..<memory.count { unsafe memory[index] = 0 }
    return unsafe UnsafeRawBufferPointer(start: memory.baseAddress, count: bytes.count)
}

/// The lines of a head, each ended as on the wire, and the empty one.
func head(_ lines: String...) -> String {
    lines.joined(separator: "\r\n") + "\r\n\r\n"
}

/// The same numbers every time, spread as if by chance (SplitMix64).
struct Numbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next(below limit: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return Int((mixed ^ mixed >> 31) % UInt64(limit))
    }
}
