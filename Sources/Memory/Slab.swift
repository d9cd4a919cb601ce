/// Records of one kind, addressed by index, reserved at start.
///
/// A slot has a generation that changes when it is freed: a completion that arrives late for the slot's former owner is
/// known by it. Free slots are taken last in, first out, so that the working set stays in the cache.
///
/// Mutation goes through an addressor: two slots can be changed at once, and no exclusivity check runs.
@safe
public struct Slab<Element: BitwiseCopyable>: ~Copyable {
    // First, because the thread sanitizer takes the first word of a value for the address that an addressor changes.
    @usableFromInline let elements: UnsafeMutablePointer<Element>
    public let capacity: Int
    /// The same, for one comparison that finds negative numbers as well.
    @usableFromInline let bound: UInt32
    /// With `takenMark` while the slot is taken.
    @usableFromInline let generations: UnsafeMutablePointer<UInt32>
    @usableFromInline let freeIndices: UnsafeMutablePointer<Int32>
    @usableFromInline var freeCount = 0
    /// Slots from here on have never been taken.
    @usableFromInline var untouched = 0

    /// A generation's bits: what fits beside kind and index into a completion's user data.
    @inlinable public static var generationMask: UInt32 { 0xFF_FFFF }
    @inlinable static var takenMark: UInt32 { 1 << 31 }

    /// Memory that a slot takes, in bytes.
    public static var bytesPerSlot: Int { MemoryLayout<Element>.stride + 2 * MemoryLayout<UInt32>.stride }

    public init(capacity: Int) {
        precondition(capacity > 0 && capacity < Int(Int32.max))
        self.capacity = capacity
        self.bound = UInt32(capacity)
        unsafe self.elements = Region.array(of: Element.self, count: capacity)
        unsafe self.generations = Region.array(of: UInt32.self, count: capacity)
        unsafe self.freeIndices = Region.array(of: Int32.self, count: capacity)
    }

    /// The number of slots that are taken.
    @inlinable public var count: Int { untouched - freeCount }

    /// Slots below this number have been taken at some time.
    @inlinable public var touched: Int { untouched }

    @inlinable public var isFull: Bool { freeCount == 0 && untouched == capacity }

    @inlinable
    public subscript(index: Int32) -> Element {
        unsafeAddress {
            checkTaken(index)
            return unsafe UnsafePointer(elements + Int(index))
        }
        nonmutating unsafeMutableAddress {
            checkTaken(index)
            return unsafe elements + Int(index)
        }
    }

    /// Debug builds trap when a slot is used that nobody has taken; release builds know the bounds alone.
    @inlinable
    func checkTaken(_ index: Int32) {
        precondition(UInt32(bitPattern: index) < bound)
        assert(isTaken(index), "a slot is used that is free")
    }

    /// Whether somebody has the slot: for those who look through all of them.
    @inlinable
    public func isTaken(_ index: Int32) -> Bool {
        precondition(UInt32(bitPattern: index) < bound)
        return unsafe generations[Int(index)] & Self.takenMark != 0
    }

    @inlinable
    public func generation(of index: Int32) -> UInt32 {
        precondition(UInt32(bitPattern: index) < bound)
        return unsafe generations[Int(index)] & Self.generationMask
    }

    /// Takes a slot and puts `element` there. Returns -1 when all are taken.
    @inlinable
    public mutating func insert(_ element: Element) -> Int32 {
        let index: Int32
        if freeCount > 0 {
            freeCount -= 1
            index = unsafe freeIndices[freeCount]
            assert(unsafe Poison.isWhole(elements + Int(index)), "somebody has written to a slot that was free")
        } else {
            guard untouched < capacity else { return -1 }
            index = Int32(truncatingIfNeeded: untouched)
            untouched += 1
        }
        unsafe generations[Int(index)] |= Self.takenMark
        self[index] = element
        return index
    }

    /// Gives the slot back; its former handles are stale from now on. Traps when the slot is free: it would get two
    /// owners.
    @inlinable
    public mutating func remove(_ index: Int32) {
        precondition(index >= 0 && Int(index) < untouched)
        precondition(unsafe generations[Int(index)] & Self.takenMark != 0)
        unsafe generations[Int(index)] = (generations[Int(index)] &+ 1) & Self.generationMask
        unsafe freeIndices[freeCount] = index
        freeCount += 1
        #if DEBUG
        unsafe Poison.fill(elements + Int(index))
        #endif
    }
}
