public import Synchronization

/// A bounded queue from many threads to one: no lock, no allocation, in the order of the pushes that succeeded.
///
/// Each cell has a turn number that says whose it is: equal to a position: free for the producer that takes that
/// position; position + 1: filled, for the consumer. A producer takes a position by compare-and-swap and then owns the
/// cell, so a producer that is preempted in between delays what was pushed behind it and loses nothing.
///
/// The functions are inlinable so that they are specialised where they are used, and checked there for locks.
@safe
public struct MessageQueue<Message: BitwiseCopyable>: @unchecked Sendable {
    @usableFromInline
    @safe
    struct Ends: ~Copyable {
        @usableFromInline let tail = Atomic<UInt64>(0)
        /// Producers and the consumer each keep a cache line of their own.
        let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0)
        /// Written by the consumer alone.
        @usableFromInline let head = Atomic<UInt64>(0)
    }

    public let capacity: Int
    @usableFromInline let mask: UInt64
    @usableFromInline let turns: UnsafeMutablePointer<Atomic<UInt64>>
    @usableFromInline let messages: UnsafeMutablePointer<Message>
    @usableFromInline let ends: UnsafeMutablePointer<Ends>

    /// - Parameter capacity: a power of two.
    public init(capacity: Int) {
        precondition(capacity > 1 && capacity & (capacity - 1) == 0)
        self.capacity = capacity
        self.mask = UInt64(capacity - 1)
        let turns = Region(byteCount: capacity * MemoryLayout<Atomic<UInt64>>.stride)
        unsafe self.turns = turns.base.bindMemory(to: Atomic<UInt64>.self, capacity: capacity)
        for position in 0..<capacity { unsafe (self.turns + position).initialize(to: Atomic(UInt64(position))) }
        unsafe self.messages = Region.array(of: Message.self, count: capacity)
        unsafe self.ends = .allocate(capacity: 1)
        unsafe ends.initialize(to: Ends())
    }

    /// Adds a message. False, and nothing done, when the queue is full.
    @inlinable
    public func push(_ message: Message) -> Bool {
        var position = unsafe ends.pointee.tail.load(ordering: .relaxed)
        while true {
            let cell = Int(position & mask)
            let turn = unsafe turns[cell].load(ordering: .acquiring)
            if turn == position {
                let (exchanged, original) = unsafe ends.pointee.tail.weakCompareExchange(
                    expected: position,
                    desired: position &+ 1,
                    ordering: .relaxed
                )
                if exchanged {
                    unsafe messages[cell] = message
                    // Sequentially consistent: it is ordered before the look at the consumer's sleeping flag.
                    unsafe turns[cell].store(position &+ 1, ordering: .sequentiallyConsistent)
                    return true
                }
                position = original
            } else if turn < position {
                return false
            } else {
                position = unsafe ends.pointee.tail.load(ordering: .relaxed)
            }
        }
    }

    /// The oldest message. Only the consuming thread may call it.
    @inlinable
    public func pop() -> Message? {
        let position = unsafe ends.pointee.head.load(ordering: .relaxed)
        let cell = Int(position & mask)
        guard unsafe turns[cell].load(ordering: .acquiring) == position &+ 1 else { return nil }
        let message = unsafe messages[cell]
        unsafe ends.pointee.head.store(position &+ 1, ordering: .relaxed)
        unsafe turns[cell].store(position &+ UInt64(capacity), ordering: .releasing)
        return message
    }

    /// Whether there is nothing to pop. Only the consuming thread may ask.
    @inlinable
    public func isEmpty() -> Bool {
        let position = unsafe ends.pointee.head.load(ordering: .relaxed)
        return unsafe turns[Int(position & mask)].load(ordering: .sequentiallyConsistent) != position &+ 1
    }
}
