public import Synchronization

/// A fixed array of words that threads share: counters, flags, limits. Each word lies in a cache line of its own when
/// `isSpread` is set, for words that different threads write.
@safe
public struct SharedWords: @unchecked Sendable {
    public let count: Int
    @usableFromInline let stride: Int
    @usableFromInline let words: UnsafeMutablePointer<Atomic<UInt64>>

    /// Where they lie, one behind the other. They must not be spread, and live as long as whoever knows the address.
    @unsafe public var address: UnsafeMutablePointer<Atomic<UInt64>> {
        precondition(stride == 1)
        return unsafe words
    }

    public init(count: Int, isSpread: Bool = false) {
        self.count = count
        self.stride = isSpread ? 8 : 1
        unsafe self.words = Self.zeroes(count * stride)
    }

    /// What is many comes from the kernel, which says so when there is no more; a word or two lie together elsewhere.
    private static func zeroes(_ count: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let byteCount = count * MemoryLayout<UInt64>.stride
        guard byteCount >= smallestRegion else {
            let words = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: max(1, count))
            for index in 0..<count { unsafe (words + index).initialize(to: Atomic(0)) }
            return unsafe words
        }
        // Zeroed as it is, so that words that nobody touches cost nothing.
        return unsafe Region(byteCount: byteCount).base.bindMemory(to: Atomic<UInt64>.self, capacity: count)
    }

    private static var smallestRegion: Int { 64 << 10 }

    @_noLocks
    public func load(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return unsafe words[index * stride].load(ordering: .sequentiallyConsistent)
    }

    /// A word that only orders itself: counters.
    @_noLocks
    public func loadRelaxed(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return unsafe words[index * stride].load(ordering: .relaxed)
    }

    @_noLocks
    public func store(_ value: UInt64, at index: Int) {
        precondition(index >= 0 && index < count)
        unsafe words[index * stride].store(value, ordering: .sequentiallyConsistent)
    }

    /// For counters that one thread writes and others read now and then.
    @_noLocks
    public func storeRelaxed(_ value: UInt64, at index: Int) {
        precondition(index >= 0 && index < count)
        unsafe words[index * stride].store(value, ordering: .relaxed)
    }

    /// Adds, wrapping, to a word that this thread alone writes: a load and a store, and no operation that locks.
    @_noLocks @inlinable
    public func increase(_ index: Int, by amount: UInt64) {
        precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
        let word = unsafe words + index &* stride
        unsafe word.pointee.store(word.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    /// Adds, wrapping, and returns the sum.
    @_noLocks
    public func add(_ value: UInt64, at index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return unsafe words[index * stride].wrappingAdd(value, ordering: .sequentiallyConsistent).newValue
    }

    /// Subtracts, wrapping, and returns the difference.
    @_noLocks
    public func subtract(_ value: UInt64, at index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return unsafe words[index * stride].wrappingSubtract(value, ordering: .sequentiallyConsistent).newValue
    }

    /// Puts a value there and returns what was there.
    @_noLocks
    public func exchange(_ value: UInt64, at index: Int) -> UInt64 {
        precondition(index >= 0 && index < count)
        return unsafe words[index * stride].exchange(value, ordering: .sequentiallyConsistent)
    }
}
