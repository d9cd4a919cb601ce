import Glibc
import Memory
import Synchronization
import Testing
import TestSupport

private struct Letter: BitwiseCopyable {
    var producer: Int32
    var number: Int32
    /// Made from the others: a message that was put together from two gives itself away.
    var check: UInt64

    init(_ producer: Int32, _ number: Int32) {
        self.producer = producer
        self.number = number
        check = UInt64(UInt32(bitPattern: producer)) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(UInt32(bitPattern: number))
    }

    var isWhole: Bool { check == Letter(producer, number).check }
}

@Test func `messages come out in the order in which they went in`() {
    let queue = MessageQueue<Int>(capacity: 8)
    #expect(queue.isEmpty() && queue.pop() == nil)
    for number in 0..<5 { #expect(queue.push(number)) }
    #expect(!queue.isEmpty())
    for number in 0..<5 { #expect(queue.pop() == number) }
    #expect(queue.isEmpty() && queue.pop() == nil)
}

@Test func `a full queue refuses and keeps what it has`() {
    let queue = MessageQueue<Int>(capacity: 4)
    for number in 0..<4 { #expect(queue.push(number)) }
    #expect(!queue.push(4) && !queue.push(5))
    #expect(queue.pop() == 0)
    #expect(queue.push(6))
    #expect(!queue.push(7))
    let rest = (0..<5).map { _ in queue.pop() }
    #expect(rest == [1, 2, 3, 6, nil])
}

@Test func `a queue behaves like a bounded list over many rounds`() {
    for seed in 1...(10 * effort) {
        var random = SeededGenerator(seed: seed)
        let queue = MessageQueue<Letter>(capacity: 1 << Int.random(in: 1...5, using: &random))
        var model: [Int32] = []
        for number in Int32(0)..<5_000 {
            if Bool.random(using: &random) {
                let isTaken = queue.push(Letter(1, number))
                #expect(isTaken == (model.count < queue.capacity), "seed \(seed), step \(number)")
                if isTaken { model.append(number) }
            } else {
                let letter = queue.pop()
                #expect(letter?.number == model.first && letter?.isWhole != false, "seed \(seed), step \(number)")
                if !model.isEmpty { model.removeFirst() }
            }
            #expect(queue.isEmpty() == model.isEmpty, "seed \(seed), step \(number)")
        }
    }
}

@Test func `a capacity that is no power of two traps`() async {
    await #expect(processExitsWith: .failure) { _ = MessageQueue<Int>(capacity: 6) }
    await #expect(processExitsWith: .failure) { _ = MessageQueue<Int>(capacity: 1) }
}

/// The queue is small, so that it is full and empty all the time.
@Test(arguments: [2, 16, 1024])
func `nothing is lost, doubled, torn or out of its producer's order`(capacity: Int) {
    let producers: Int32 = 4
    let letters: Int32 = 20_000
    let queue = MessageQueue<Letter>(capacity: capacity)
    let mistakes = Atomic<Int>(0)
    let produce = (0..<producers).map { producer -> @Sendable () -> Void in
        {
            for number in 0..<letters {
                while !queue.push(Letter(producer, number)) { sched_yield() }
            }
        }
    }
    let consume: @Sendable () -> Void = {
        var expected = [Int32](repeating: 0, count: Int(producers))
        var left = Int(producers * letters)
        while left > 0 {
            guard let letter = queue.pop() else {
                sched_yield()
                continue
            }
            let isRight = letter.isWhole && letter.number == expected[Int(letter.producer)]
            if !isRight { mistakes.wrappingAdd(1, ordering: .relaxed) }
            expected[Int(letter.producer)] = letter.number + 1
            left -= 1
        }
        if queue.pop() != nil { mistakes.wrappingAdd(1, ordering: .relaxed) }
    }
    onThreads(produce + [consume])
    #expect(mistakes.load(ordering: .relaxed) == 0)
    #expect(queue.isEmpty())
}

/// An adoption is pushed before the publication that names it, by whichever thread: what was pushed after another
/// push had succeeded comes out behind it.
@Test func `pushes of two threads come out in the order in which they succeeded`() {
    let rounds: Int32 = 5_000
    let queue = MessageQueue<Letter>(capacity: 4)
    let turn = Atomic<Int32>(0)
    let mistakes = Atomic<Int>(0)
    let producers = (Int32(0)..<2).map { producer -> @Sendable () -> Void in
        {
            for number in 0..<rounds where number & 1 == producer {
                while turn.load(ordering: .acquiring) != number { sched_yield() }
                while !queue.push(Letter(producer, number)) { sched_yield() }
                turn.store(number + 1, ordering: .releasing)
            }
        }
    }
    let consume: @Sendable () -> Void = {
        for number in 0..<rounds {
            var letter = queue.pop()
            while letter == nil {
                sched_yield()
                letter = queue.pop()
            }
            if letter?.number != number { mistakes.wrappingAdd(1, ordering: .relaxed) }
        }
    }
    onThreads(producers + [consume])
    #expect(mistakes.load(ordering: .relaxed) == 0)
}
