import Testing

@testable import Proxy

/// A hundred thousand idle clients cost a hundred thousand of these. Whoever adds a field looks for a gap, or has a
/// reason to raise the number.
@Test func `the records of a client have no gaps`() {
    #expect(MemoryLayout<Connection>.stride == 152)
    #expect(MemoryLayout<Connection>.stride - MemoryLayout<Connection>.size < 8)
    #expect(MemoryLayout<Exchange>.stride == 136)
    #expect(MemoryLayout<Exchange>.stride - MemoryLayout<Exchange>.size < 8)
    // Not touched by those who never wait.
    #expect(MemoryLayout<Patience>.stride == 32)
}

struct SessionTallyTests {
    /// A count that overflows must neither begin again nor run over into its neighbour.
    @Test func eachCountStaysAtItsHighestValue() {
        var tally = SessionTally()
        for _ in 0..<70_000 { SessionTally.increment(&tally.sentAgain) }
        #expect(tally.sentAgain == 65_535 && tally.failed == 0 && tally.cut == 0)
        tally.failed = 65_534
        SessionTally.increment(&tally.failed)
        SessionTally.increment(&tally.failed)
        SessionTally.increment(&tally.cut)
        #expect(tally.failed == 65_535 && tally.cut == 1)
        let read = SessionTally(word: tally.word)
        #expect(read.sentAgain == 65_535 && read.failed == 65_535 && read.cut == 1)
    }
}
