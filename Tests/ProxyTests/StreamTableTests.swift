import Memory
import Testing
import TestSupport

@testable import Proxy

private struct Key: Hashable, Comparable {
    var session: Int32
    var id: UInt32

    static func < (left: Key, right: Key) -> Bool { (left.session, left.id) < (right.session, right.id) }
}

/// A table with the streams that it finds.
private struct Streams: ~Copyable {
    var table: StreamTable
    var slab: Slab<Stream>

    init(capacity: Int) {
        table = StreamTable(capacity: capacity)
        slab = Slab(capacity: capacity)
    }

    func find(_ session: Int32, _ id: UInt32) -> Int32 { table.find(session: session, id: id, in: slab) }

    /// Returns the slot.
    @discardableResult
    mutating func insert(_ session: Int32, _ id: UInt32) -> Int32 {
        let slot = slab.insert(Stream(id: id, session: session, connection: -1))
        table.insert(session: session, id: id, slot: slot)
        return slot
    }

    mutating func remove(_ session: Int32, _ id: UInt32, slot: Int32) {
        table.remove(session: session, id: id, slot: slot)
        slab.remove(slot)
    }
}

@Test func `a stream is found by its session and id, and by nothing else`() {
    var streams = Streams(capacity: 10)
    #expect(streams.find(0, 1) == -1)
    let first = streams.insert(0, 1)
    let second = streams.insert(1, 1)
    let third = streams.insert(0, 3)
    #expect(streams.find(0, 1) == first)
    #expect(streams.find(1, 1) == second)
    #expect(streams.find(0, 3) == third)
    #expect(streams.find(1, 3) == -1 && streams.find(2, 1) == -1)
    #expect(streams.table.count == 3)
    streams.remove(0, 1, slot: first)
    #expect(streams.find(0, 1) == -1 && streams.find(1, 1) == second)
    #expect(streams.table.count == 2)
}

/// The first ids and the last ones: none may look like an empty entry.
@Test func `every session and id is a key`() {
    for session in [0, 1, 0xffff, .max - 1] as [Int32] {
        for id in [1, 3, 63, 65, 0x7fff_ffff, .max - 2, .max] as [UInt32] {
            var streams = Streams(capacity: 1)
            #expect(streams.find(session, id) == -1)
            let slot = streams.insert(session, id)
            #expect(streams.find(session, id) == slot)
            streams.remove(session, id, slot: slot)
            #expect(streams.find(session, id) == -1 && streams.table.count == 0)
        }
    }
}

/// Session 1 is mixed into ids as 0x9E37_7980, so that these two have one mark.
@Test func `two streams with one mark are told apart`() {
    var streams = Streams(capacity: 4)
    let id: UInt32 = 0x9E37_7980 | 1
    let own = streams.insert(0, id)
    #expect(streams.find(1, 1) == -1)
    let other = streams.insert(1, 1)
    #expect(streams.find(0, id) == own && streams.find(1, 1) == other)
    streams.remove(0, id, slot: own)
    #expect(streams.find(0, id) == -1 && streams.find(1, 1) == other)
}

@Test func `the table holds as many streams as were asked for`() {
    for capacity in [1, 7, 8, 9, 100, 1_000] {
        var streams = Streams(capacity: capacity)
        let slots = (0..<capacity).map { streams.insert(3, UInt32(2 * $0 + 1)) }
        for stream in 0..<capacity {
            #expect(streams.find(3, UInt32(2 * stream + 1)) == slots[stream])
        }
        #expect(streams.find(3, UInt32(2 * capacity + 1)) == -1)
    }
}

/// Full to its capacity all the time, so that chains of collisions form, wrap at the end and are shifted back.
@Test func `the table behaves like a dictionary however long it is used`() {
    for seed in UInt64(1)...30 {
        var random = SeededGenerator(seed: seed)
        let capacity = Int.random(in: 1...40, using: &random)
        let sessions = Int32.random(in: 1...4, using: &random)
        var streams = Streams(capacity: capacity)
        var model: [Key: Int32] = [:]
        for step in 0..<3_000 {
            let key = Key(
                session: Int32.random(in: 0..<sessions, using: &random),
                id: UInt32.random(in: 0...60, using: &random) * 2 + 1
            )
            #expect(streams.find(key.session, key.id) == model[key] ?? -1, "seed \(seed), step \(step)")
            if let slot = model[key] {
                streams.remove(key.session, key.id, slot: slot)
                model[key] = nil
            } else if model.count < capacity {
                model[key] = streams.insert(key.session, key.id)
            } else if let victim = model.keys.sorted().randomElement(using: &random), let slot = model[victim] {
                streams.remove(victim.session, victim.id, slot: slot)
                model[victim] = nil
            }
            #expect(streams.table.count == model.count, "seed \(seed), step \(step)")
            guard step % 50 == 0 else { continue }
            streams.table.checkInvariants()
            for (key, slot) in model {
                #expect(streams.find(key.session, key.id) == slot, "seed \(seed), step \(step)")
            }
        }
    }
}

@Test func `a stream that is not in the table cannot be removed, nor more be inserted than fit`() async {
    await #expect(processExitsWith: .failure) {
        var table = StreamTable(capacity: 4)
        table.insert(session: 0, id: 1, slot: 0)
        table.remove(session: 0, id: 3, slot: 1)
    }
    await #expect(processExitsWith: .failure) {
        var table = StreamTable(capacity: 4)
        for id in UInt32(0)..<100 { table.insert(session: 0, id: id, slot: 0) }
    }
}
