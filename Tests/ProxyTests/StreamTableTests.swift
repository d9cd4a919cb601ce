import Testing

@testable import Proxy

private struct Key: Hashable, Comparable {
    var session: Int32
    var id: UInt32

    static func < (left: Key, right: Key) -> Bool { (left.session, left.id) < (right.session, right.id) }
}

@Test func `a stream is found by its session and id, and by nothing else`() {
    var table = StreamTable(capacity: 10)
    #expect(table.find(session: 0, id: 1) == -1)
    table.insert(session: 0, id: 1, slot: 7)
    table.insert(session: 1, id: 1, slot: 8)
    table.insert(session: 0, id: 3, slot: 9)
    #expect(table.find(session: 0, id: 1) == 7)
    #expect(table.find(session: 1, id: 1) == 8)
    #expect(table.find(session: 0, id: 3) == 9)
    #expect(table.find(session: 1, id: 3) == -1 && table.find(session: 2, id: 1) == -1)
    #expect(table.count == 3)
    table.remove(session: 0, id: 1)
    #expect(table.find(session: 0, id: 1) == -1 && table.find(session: 1, id: 1) == 8)
    #expect(table.count == 2)
}

/// An id that nobody has, and the largest ones: no key may look like an empty entry.
@Test func `every session and id is a key`() {
    for session in [0, 1, 0xffff, .max - 1] as [Int32] {
        for id in [0, 1, 2, 0x7fff_ffff, .max - 1, .max] as [UInt32] {
            var table = StreamTable(capacity: 1)
            #expect(table.find(session: session, id: id) == -1)
            table.insert(session: session, id: id, slot: 0)
            #expect(table.find(session: session, id: id) == 0)
            table.remove(session: session, id: id)
            #expect(table.find(session: session, id: id) == -1 && table.count == 0)
        }
    }
}

@Test func `the table holds as many streams as were asked for`() {
    for capacity in [1, 7, 8, 9, 100, 1_000] {
        var table = StreamTable(capacity: capacity)
        for stream in 0..<capacity { table.insert(session: 3, id: UInt32(2 * stream + 1), slot: Int32(stream)) }
        for stream in 0..<capacity {
            #expect(table.find(session: 3, id: UInt32(2 * stream + 1)) == Int32(stream))
        }
        #expect(table.find(session: 3, id: UInt32(2 * capacity + 1)) == -1)
    }
}

/// Full to its capacity all the time, so that chains of collisions form, wrap at the end and are shifted back.
@Test func `the table behaves like a dictionary however long it is used`() {
    for seed in UInt64(1)...30 {
        var random = Generator(state: seed)
        let capacity = Int.random(in: 1...40, using: &random)
        let sessions = Int32.random(in: 1...4, using: &random)
        var table = StreamTable(capacity: capacity)
        var model: [Key: Int32] = [:]
        for step in 0..<3_000 {
            let key = Key(
                session: Int32.random(in: 0..<sessions, using: &random),
                id: UInt32.random(in: 0...60, using: &random) * 2 + 1
            )
            #expect(table.find(session: key.session, id: key.id) == model[key] ?? -1, "seed \(seed), step \(step)")
            if model[key] != nil {
                table.remove(session: key.session, id: key.id)
                model[key] = nil
            } else if model.count < capacity {
                let slot = Int32.random(in: 0...1_000_000, using: &random)
                table.insert(session: key.session, id: key.id, slot: slot)
                model[key] = slot
            } else if let victim = model.keys.sorted().randomElement(using: &random) {
                table.remove(session: victim.session, id: victim.id)
                model[victim] = nil
            }
            #expect(table.count == model.count, "seed \(seed), step \(step)")
            guard step % 50 == 0 else { continue }
            for (key, slot) in model {
                #expect(table.find(session: key.session, id: key.id) == slot, "seed \(seed), step \(step)")
            }
        }
    }
}

@Test func `a stream that is not in the table cannot be removed, nor more be inserted than fit`() async {
    await #expect(processExitsWith: .failure) {
        var table = StreamTable(capacity: 4)
        table.insert(session: 0, id: 1, slot: 0)
        table.remove(session: 0, id: 3)
    }
    await #expect(processExitsWith: .failure) {
        var table = StreamTable(capacity: 4)
        for id in UInt32(0)..<100 { table.insert(session: 0, id: id, slot: 0) }
    }
}

/// SplitMix64.
private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}
