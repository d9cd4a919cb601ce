import Registration
import TestSupport
import Testing

@testable import Control

private func owner(_ number: UInt16) -> FigureOwner {
    FigureOwner(address: PublicAddress(address: .loopback, port: number), pattern: .raw)
}

/// The control thread's part: a snapshot is published, and every reactor reads it.
private func publish(_ slots: inout FigureSlots, _ generation: UInt64, isIdle: Bool = true) {
    slots.published(generation: generation)
    slots.settle(oldest: generation) { _ in isIdle }
}

struct FigureSlotsTests {
    @Test func eachRouteHasASlotOfItsOwnWhileThereAreAny() {
        var slots = FigureSlots(count: 3)
        let taken = (1...5).map { slots.take(for: owner($0)) }
        #expect(Set(taken.prefix(3)) == [2, 3, 4])
        #expect(taken.suffix(2) == [1, 1])
    }

    @Test func withoutAnySlotAllShareOne() {
        var slots = FigureSlots(count: 0)
        #expect(slots.take(for: owner(1)) == 1)
        slots.giveBack(1, now: 0)
        #expect(!slots.hasDeparted)
    }

    @Test func aRouteThatReturnsGetsItsSlotBack() {
        var slots = FigureSlots(count: 2)
        let first = slots.take(for: owner(1))
        _ = slots.take(for: owner(2))
        slots.giveBack(first, now: 0)
        #expect(slots.take(for: owner(1)) == first)
        slots.giveBack(first, now: 10)
        publish(&slots, 2)
        #expect(slots.take(for: owner(1)) == first)
        // It is used: what was true of it while it was not is forgotten.
        #expect(slots.quiet.isEmpty && !slots.hasDeparted)
        #expect(slots.takeEnded(now: .max, isScrape: true).isEmpty)
    }

    @Test func aSlotIsFreeWhenItsLastFiguresHaveBeenScraped() {
        var slots = FigureSlots(count: 1)
        let slot = slots.take(for: owner(1))
        slots.giveBack(slot, now: 0)
        // Scraped before it was quiet: what it had then were not its last figures.
        slots.scraped([slot: owner(1)])
        publish(&slots, 2)
        #expect(slots.takeEnded(now: 1, isScrape: true).isEmpty)
        #expect(slots.take(for: owner(2)) == 1, "it is not given to another route before")
        slots.scraped(slots.quiet)
        #expect(slots.takeEnded(now: 2, isScrape: false).isEmpty, "the next scrape is to see that it is gone")
        #expect(slots.takeEnded(now: 2, isScrape: true) == [slot])
        #expect(slots.take(for: owner(2)) == slot)
    }

    @Test func aSlotIsKeptForAsLongAsSomethingIsUnderWay() {
        var slots = FigureSlots(count: 1)
        let slot = slots.take(for: owner(1))
        slots.giveBack(slot, now: 0)
        publish(&slots, 2, isIdle: false)
        #expect(slots.quiet.isEmpty)
        #expect(slots.takeEnded(now: FigureSlots.keptMilliseconds, isScrape: true).isEmpty)
        publish(&slots, 3)
        #expect(slots.quiet == [slot: owner(1)])
        #expect(slots.takeEnded(now: FigureSlots.keptMilliseconds, isScrape: true) == [slot])
    }

    @Test func aSlotIsKeptForAsLongAsAReactorMayReadAnOlderSnapshot() {
        var slots = FigureSlots(count: 1)
        let slot = slots.take(for: owner(1))
        slots.giveBack(slot, now: 0)
        slots.settle(oldest: 9) { _ in true }
        #expect(slots.quiet.isEmpty, "no snapshot without it has been published")
        slots.published(generation: 5)
        slots.settle(oldest: 4) { _ in true }
        #expect(slots.quiet.isEmpty)
        slots.settle(oldest: 5) { _ in true }
        #expect(slots.quiet == [slot: owner(1)])
    }

    @Test func figuresThatNobodyScrapesAreForgottenInFiveMinutes() {
        var slots = FigureSlots(count: 1)
        let slot = slots.take(for: owner(1))
        slots.giveBack(slot, now: 1_000)
        publish(&slots, 2)
        #expect(slots.takeEnded(now: 1_000 + 299_999, isScrape: true).isEmpty)
        #expect(slots.takeEnded(now: 1_000 + 300_000, isScrape: false) == [slot])
    }

    @Test func aReportThatIsOlderThanTheOwnerFreesNothing() {
        var slots = FigureSlots(count: 1)
        let slot = slots.take(for: owner(1))
        slots.giveBack(slot, now: 0)
        publish(&slots, 2)
        let told = slots.quiet
        slots.scraped(told)
        #expect(slots.takeEnded(now: 1, isScrape: true) == [slot])
        #expect(slots.take(for: owner(2)) == slot)
        slots.giveBack(slot, now: 2)
        publish(&slots, 3)
        slots.scraped(told)
        #expect(slots.takeEnded(now: 3, isScrape: true).isEmpty)
    }

    /// Routes come, go and return, scrapes are late, requests take long. No slot has two owners, none is lost, and no
    /// slot is given away whose last figures nobody has seen.
    @Test(arguments: 0..<50)
    func slotsAreNeitherLostNorShared(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var slots = FigureSlots(count: 4)
        var used: [UInt16: UInt16] = [:]
        var (now, generation) = (UInt64(0), UInt64(1))
        var told: [UInt16: FigureOwner] = [:]
        for _ in 0..<400 {
            now += random.next() % 40_000
            let number = UInt16(random.next() % 8 + 1)
            switch random.next() % 5 {
            case 0, 1:
                if used[number] == nil {
                    let slot = slots.take(for: owner(number))
                    #expect(slot == 1 || !used.values.contains(slot), "seed \(seed)")
                    used[number] = slot
                }
            case 2: if let slot = used.removeValue(forKey: number) { slots.giveBack(slot, now: now) }
            case 3:
                generation += 1
                slots.published(generation: generation)
                slots.settle(oldest: generation - random.next() % 2) { _ in random.next() % 3 > 0 }
                told = slots.quiet
            default:
                slots.scraped(told)
                let ended = slots.takeEnded(now: now, isScrape: random.next() % 2 == 0)
                #expect(ended.allSatisfy { !used.values.contains($0) }, "seed \(seed)")
            }
        }
        for slot in used.values { slots.giveBack(slot, now: now) }
        publish(&slots, generation + 1)
        _ = slots.takeEnded(now: .max, isScrape: true)
        #expect(Set((10..<14).map { slots.take(for: owner($0)) }) == [2, 3, 4, 5], "seed \(seed)")
    }
}

struct LivenessTests {
    @Test func aReactorThatTurnsIsAlive() {
        var liveness = Liveness(reactors: 2)
        for second in 0..<20 as Range<UInt64> {
            for reactor in 0..<2 { liveness.note(turns: second + 1, of: reactor, now: second * 1_000) }
            #expect(liveness.isAlive(now: second * 1_000))
        }
    }

    @Test func aReactorHasFiveSecondsFromWhenItWasWoken() {
        var liveness = Liveness(reactors: 2)
        for now in [0, 4_999, 5_000] as [UInt64] {
            liveness.note(turns: 7, of: 0, now: now)
            liveness.note(turns: now + 1, of: 1, now: now)
            #expect(liveness.isAlive(now: now) == (now < 5_000))
        }
        liveness.note(turns: 8, of: 0, now: 9_000)
        #expect(liveness.isAlive(now: 9_000))
    }

    /// Nobody has asked for an hour, and nothing has happened: that is no fault.
    @Test func whoWasNotWokenNeedNotHaveTurned() {
        var liveness = Liveness(reactors: 1)
        liveness.note(turns: 7, of: 0, now: 0)
        liveness.note(turns: 8, of: 0, now: 1_000)
        liveness.note(turns: 9, of: 0, now: 3_600_000)
        #expect(liveness.isAlive(now: 3_600_000))
    }
}
