import Testing
import TestSupport

@testable import Exchanges

@Suite struct AttemptsTests {
    @Test func `three that count are all`() {
        var attempts = Attempts()
        #expect(attempts.areNone)
        for count in 1...3 {
            attempts.begin()
            #expect(!attempts.areNone && attempts.areSpent == (count == 3) && attempts.areLast == (count == 2))
        }
    }

    @Test func `eight do not count, the ninth does`() {
        var attempts = Attempts()
        for _ in 0..<8 {
            attempts.begin()
            attempts.forgive()
            #expect(attempts.counted == 0 && !attempts.areNone)
        }
        attempts.begin()
        attempts.forgive()
        #expect(attempts.counted == 1 && attempts.uncounted == 8)
    }

    @Test func `what two unproven sessions have died with is suspect`() {
        var attempts = Attempts()
        for count in 1...5 {
            attempts.begin()
            attempts.loseUnproven()
            #expect(attempts.mayKill == (count >= 2) && attempts.areDoubtful)
            #expect(attempts.counted == 0)
        }
    }

    @Test func `what a young session was lost with counts if it was alone, and is doubtful in any case`() {
        for isAlone in [true, false] {
            var attempts = Attempts()
            attempts.begin()
            attempts.loseYoung(isAlone: isAlone)
            #expect(attempts.counted == (isAlone ? 1 : 0) && attempts.areDoubtful && !attempts.mayKill)
            attempts.begin()
            attempts.loseYoung(isAlone: isAlone)
            #expect(!attempts.mayKill && attempts.areLast == isAlone)
        }
    }

    /// A model with numbers that are not packed.
    @Test(arguments: 0..<100) func `whatever happens is counted as by a model`(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var attempts = Attempts()
        var (counted, uncounted, unproven) = (0, 0, 0)
        func forgive() {
            if counted > 0, uncounted < 8 { (counted, uncounted) = (counted - 1, uncounted + 1) }
        }
        for _ in 0..<40 {
            switch random.next() % 4 {
            case 0:
                attempts.begin()
                counted = min(3, counted + 1)
            case 1:
                attempts.forgive()
                forgive()
            case 2:
                let isAlone = random.next() % 2 == 0
                attempts.loseYoung(isAlone: isAlone)
                unproven = max(1, unproven)
                if !isAlone { forgive() }
            default:
                attempts.loseUnproven()
                unproven = min(3, unproven + 1)
                forgive()
            }
            #expect(Int(attempts.counted) == counted)
            #expect(Int(attempts.uncounted) == uncounted)
            #expect(Int(attempts.unproven) == unproven)
        }
    }
}
