internal import Routing

/// The slots of one reactor's sessions, given out by the control thread. A slot has a new generation each time.
struct SessionSlots {
    let capacity: Int
    /// Free ones that have been in use, the last one first: its memory is warm.
    private var free: [Int] = []
    /// The generation of each slot that was ever in use.
    private var generations: [UInt32] = []

    init(capacity: Int) {
        self.capacity = capacity
    }

    var inUse: Int { generations.count - free.count }
    var isFull: Bool { inUse == capacity }

    /// A slot and a generation that is not 0 and differs from the slot's last one, or nil if all are in use.
    mutating func take() -> (index: Int, generation: UInt32)? {
        if let index = free.popLast() {
            let next = generations[index] + 1
            generations[index] = next > SessionHandle.generationMaximum ? 1 : next
            return (index, generations[index])
        }
        guard generations.count < capacity else { return nil }
        generations.append(1)
        return (generations.count - 1, 1)
    }

    mutating func giveBack(_ index: Int) {
        assert(!free.contains(index), "a slot is given back once")
        free.append(index)
    }
}
