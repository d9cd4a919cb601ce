import Memory

extension Loop {
    static let slabs: [Loop] = [insertAndRemove, lookAt]

    /// The size of a record is a connection's, roughly.
    private typealias Record = InlineArray<24, UInt64>

    private static let insertAndRemove = Loop("Memory: take a slot of a slab and give it back") {
        var slab = filledSlab()
        return { count in insertAndRemove(&slab, count: count) }
    }

    private static func insertAndRemove(_ slab: inout Slab<Record>, count: Int) -> Int {
        let record = Record(repeating: 1)
        var sum = 0
        for _ in 0..<count {
            let index = slab.insert(record)
            sum &+= Int(index) &+ Int(slab.generation(of: index))
            slab.remove(index)
        }
        return sum
    }

    /// What a completion does first: is its handle still good, and then a field or two.
    private static let lookAt = Loop("Memory: check a handle and change a record") {
        let slab = filledSlab()
        return { count in
            var sum = 0
            for index in 0..<count {
                let slot = Int32(truncatingIfNeeded: index & 511)
                guard slab.generation(of: slot) == 0 else { continue }
                slab[slot][3] &+= 1
                sum &+= Int(truncatingIfNeeded: slab[slot][3] & 0xff)
            }
            return sum
        }
    }

    /// Half of its slots are taken.
    private static func filledSlab() -> Slab<Record> {
        var slab = Slab<Record>(capacity: 1024)
        for _ in 0..<512 { _ = slab.insert(Record(repeating: 0)) }
        return slab
    }
}
