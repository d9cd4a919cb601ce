/// Keeps those who register badly, again and again, from filling the log: so many lines a second, then a count.
struct RefusalLog {
    static let linesPerSecond = 50

    private var second: UInt64 = 0
    private var written = 0
    private var suppressed = 0

    /// Whether one more refusal may be logged, and how many were not since the last one that was.
    mutating func admit(now: UInt64) -> (mayWrite: Bool, suppressed: Int) {
        if now / 1000 != second {
            second = now / 1000
            written = 0
        }
        guard written < Self.linesPerSecond else {
            suppressed += 1
            return (false, 0)
        }
        written += 1
        defer { suppressed = 0 }
        return (true, suppressed)
    }
}
