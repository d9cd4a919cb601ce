import Memory
import Testing

@Test(arguments: [false, true])
func `each word keeps its own value`(isSpread: Bool) {
    let words = SharedWords(count: 5, isSpread: isSpread)
    #expect(words.count == 5)
    for index in 0..<5 {
        #expect(words.load(index) == 0)
        words.store(UInt64(index) + 100, at: index)
    }
    for index in 0..<5 {
        #expect(words.load(index) == UInt64(index) + 100)
        #expect(words.loadRelaxed(index) == UInt64(index) + 100)
    }
    words.storeRelaxed(1, at: 4)
    #expect(words.load(4) == 1)
}

@Test func `adding and subtracting wrap and return what is there then`() {
    let words = SharedWords(count: 1)
    #expect(words.subtract(1, at: 0) == .max)
    #expect(words.add(3, at: 0) == 2)
    #expect(words.exchange(9, at: 0) == 2)
    #expect(words.load(0) == 9)
}

@Test func `no words can be asked for`() {
    #expect(SharedWords(count: 0).count == 0)
}

@Test func `sums of many threads lose nothing`() {
    let words = SharedWords(count: 2, isSpread: true)
    onThreads(
        (0..<4).map { _ in
            {
                for _ in 0..<10_000 {
                    _ = words.add(3, at: 0)
                    _ = words.subtract(1, at: 1)
                }
            }
        }
    )
    #expect(words.load(0) == 120_000)
    #expect(words.load(1) == 0 &- 40_000)
}

/// What a flag that is taken by exchange stands for is done by one thread alone.
@Test func `a value is exchanged by one thread alone`() {
    let words = SharedWords(count: 2, isSpread: true)
    onThreads(
        (0..<4).map { _ in
            {
                for _ in 0..<10_000 where words.exchange(1, at: 0) == 0 {
                    // The winner is alone here until it puts the flag back.
                    words.storeRelaxed(words.loadRelaxed(1) + 1, at: 1)
                    words.store(0, at: 0)
                }
            }
        }
    )
    let winners = words.load(1)
    #expect(winners > 0 && winners <= 40_000)
    #expect(words.load(0) == 0)
}

@Test func `words outside trap`() async {
    await #expect(processExitsWith: .failure) { _ = SharedWords(count: 2).load(2) }
    await #expect(processExitsWith: .failure) { SharedWords(count: 2, isSpread: true).store(1, at: 2) }
    await #expect(processExitsWith: .failure) { _ = SharedWords(count: 2).add(1, at: -1) }
}
