import Testing
import TestSupport

/// A client, services of all kinds and what carries the bytes between them, in virtual time, each from a seed.
@Suite struct ModelTests {
    private func world(_ seed: UInt64) -> ExchangeWorld {
        var random = SeededGenerator(seed: seed)
        let count = random.number(0...800)
        return ExchangeWorld(Choices((0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }))
    }

    @Test(arguments: 0..<40)
    func `whatever happens, a client gets what its services said, or learns that it does not`(block: UInt64) {
        var repeats = 0
        var replies = 0
        for seed in block * 250..<block * 250 + 250 {
            let world = world(seed)
            if let breach = world.run() { Issue.record("seed \(seed): \(breach)") }
            repeats += world.repeats
            replies += world.replies
        }
        // It is not that nothing happens.
        #expect(repeats > 50 && replies > 80)
    }
}
