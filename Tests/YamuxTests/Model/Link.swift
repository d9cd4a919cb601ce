/// One direction of a connection in virtual time: bytes arrive in order, each write after a delay, in pieces of any
/// size.
struct Link {
    private var segments: [(due: UInt64, bytes: [UInt8])] = []
    private var head = 0
    private var taken = 0
    private var lastDue: UInt64 = 0

    var isEmpty: Bool { head == segments.count }

    mutating func write(_ bytes: [UInt8], due: UInt64) {
        guard !bytes.isEmpty else { return }
        lastDue = max(lastDue, due)
        segments.append((lastDue, bytes))
    }

    /// At most `maximum` bytes of those that have arrived by `now`.
    mutating func read(now: UInt64, maximum: Int) -> [UInt8] {
        var result: [UInt8] = []
        while head < segments.count, segments[head].due <= now, result.count < maximum {
            let bytes = segments[head].bytes
            let count = min(maximum - result.count, bytes.count - taken)
            result += bytes[taken..<taken + count]
            taken += count
            if taken == bytes.count {
                segments[head].bytes = []
                head += 1
                taken = 0
            }
        }
        return result
    }
}
