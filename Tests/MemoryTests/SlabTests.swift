import Memory
import Testing
import TestSupport

private struct Record: BitwiseCopyable, Equatable {
    var number: UInt64
    var other: UInt32 = 0
}

@Test func `a slab gives every slot once and then none`() {
    var slab = Slab<Record>(capacity: 5)
    let taken = (0..<5).map { slab.insert(Record(number: $0)) }
    #expect(taken == [0, 1, 2, 3, 4])
    let isFull = slab.isFull
    #expect(isFull)
    let refused = slab.insert(Record(number: 5))
    #expect(refused == -1)
    let count = slab.count
    #expect(count == 5)
    for index in taken {
        let number = slab[index].number
        #expect(number == UInt64(index))
    }
}

/// The working set stays in the cache.
@Test func `the slot that was freed last is taken first`() {
    var slab = Slab<Record>(capacity: 8)
    for number in 0..<6 { _ = slab.insert(Record(number: UInt64(number))) }
    slab.remove(1)
    slab.remove(4)
    let taken = [slab.insert(Record(number: 9)), slab.insert(Record(number: 9)), slab.insert(Record(number: 9))]
    #expect(taken == [4, 1, 6])
}

/// A late completion is known by it: what a former owner's token carries is never the present generation.
@Test func `a slot has a new generation as soon as it is freed`() {
    var slab = Slab<Record>(capacity: 1)
    var former: UInt32?
    for _ in 0..<100 {
        let index = slab.insert(Record(number: 0))
        let generation = slab.generation(of: index)
        #expect(generation != former)
        slab.remove(index)
        let freed = slab.generation(of: index)
        #expect(freed != generation)
        former = generation
    }
}

@Test func `a generation fits into 24 bits and comes round without a trap`() {
    var slab = Slab<Record>(capacity: 1)
    var largest: UInt32 = 0
    for _ in 0..<(1 << 24) {
        let index = slab.insert(Record(number: 1))
        slab.remove(index)
        largest = max(largest, slab.generation(of: 0))
    }
    #expect(largest == Slab<Record>.generationMask)
    let generation = slab.generation(of: 0)
    #expect(generation == 0)
}

@Test func `two slots can be changed in one expression`() {
    func exchange(_ left: inout Record, _ right: inout Record) { swap(&left.number, &right.number) }
    var slab = Slab<Record>(capacity: 2)
    let first = slab.insert(Record(number: 1))
    let second = slab.insert(Record(number: 2))
    exchange(&slab[first], &slab[second])
    let numbers = [slab[first].number, slab[second].number]
    #expect(numbers == [2, 1])
}

@Test func `a slab behaves like a dictionary, whatever the order of insertions and removals`() {
    for seed in 1...(20 * effort) {
        var random = SeededGenerator(seed: seed)
        let capacity = Int.random(in: 1...40, using: &random)
        var slab = Slab<Record>(capacity: capacity)
        var model: [Int32: Record] = [:]
        var generations: [Int32: UInt32] = [:]
        for step in 0..<2_000 {
            if Bool.random(using: &random) {
                let record = Record(number: random.next())
                let index = slab.insert(record)
                if index >= 0 {
                    #expect(model[index] == nil, "seed \(seed), step \(step)")
                    model[index] = record
                    generations[index] = slab.generation(of: index)
                } else {
                    #expect(model.count == capacity, "seed \(seed), step \(step)")
                }
            } else if let index = model.keys.sorted().randomElement(using: &random) {
                slab.remove(index)
                model[index] = nil
            }
            let count = slab.count
            let touched = slab.touched
            #expect(count == model.count && touched >= count && touched <= capacity, "seed \(seed), step \(step)")
        }
        for (index, record) in model {
            let held = slab[index]
            let generation = slab.generation(of: index)
            #expect(held == record && generation == generations[index], "seed \(seed)")
        }
    }
}

@Test func `indices outside the slab trap`() async {
    await #expect(processExitsWith: .failure) {
        let slab = Slab<UInt64>(capacity: 4)
        _ = slab[4]
    }
    await #expect(processExitsWith: .failure) {
        let slab = Slab<UInt64>(capacity: 4)
        slab[-1] = 1
    }
    await #expect(processExitsWith: .failure) {
        let slab = Slab<UInt64>(capacity: 4)
        _ = slab.generation(of: 4)
    }
}

/// It would give one slot to two owners.
@Test func `freeing a slot that is free traps`() async {
    await #expect(processExitsWith: .failure) {
        var slab = Slab<UInt64>(capacity: 4)
        _ = slab.insert(1)
        _ = slab.insert(2)
        slab.remove(0)
        slab.remove(0)
    }
    await #expect(processExitsWith: .failure) {
        var slab = Slab<UInt64>(capacity: 4)
        _ = slab.insert(1)
        slab.remove(3)
    }
}

/// Whoever goes on with a record that was freed in the middle of an event is found by the tests, and not by luck.
@Test func `in debug builds a slot that is free cannot be used`() async {
    var slab = Slab<UInt64>(capacity: 2)
    let index = slab.insert(7)
    let before = slab.isTaken(index)
    slab.remove(index)
    #expect(before && !slab.isTaken(index) && !slab.isTaken(1))
    #if DEBUG
    await #expect(processExitsWith: .failure) {
        var slab = Slab<UInt64>(capacity: 2)
        let index = slab.insert(7)
        slab.remove(index)
        _ = slab[index]
    }
    await #expect(processExitsWith: .failure) {
        let slab = Slab<UInt64>(capacity: 2)
        slab[1] = 1
    }
    // Whoever got its address before that.
    await #expect(processExitsWith: .failure) {
        var slab = Slab<UInt64>(capacity: 2)
        let index = slab.insert(7)
        let former = unsafe withUnsafeMutablePointer(to: &slab[index]) { unsafe $0 }
        slab.remove(index)
        unsafe former.pointee = 8
        _ = slab.insert(9)
    }
    #endif
}
