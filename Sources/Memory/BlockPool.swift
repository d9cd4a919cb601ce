/// A run of bytes in blocks of a pool, in order. Plain data: whoever holds it must give it back to the pool.
@frozen
public struct Chain: BitwiseCopyable {
    public var head: Int32 = -1
    public var tail: Int32 = -1
    /// Bytes in it altogether.
    public var count: Int = 0

    @inlinable @_noLocks public init() {}
    @inlinable public var isEmpty: Bool { @_noLocks get { count == 0 } }
}

/// The addresses of a pool that another reactor needs to read a chain that it was handed.
@frozen @safe
public struct BlockView: @unchecked Sendable, BitwiseCopyable {
    @usableFromInline let bytes: UnsafeMutableRawPointer
    @usableFromInline let blocks: UnsafeMutablePointer<BlockPool.Block>
    @usableFromInline let capacity: Int

    @inlinable @_noLocks
    init(bytes: UnsafeMutableRawPointer, blocks: UnsafeMutablePointer<BlockPool.Block>, capacity: Int) {
        unsafe self.bytes = bytes
        unsafe self.blocks = blocks
        self.capacity = capacity
    }

    /// The bytes of one block of a chain, and the block after it (-1: none).
    @inlinable @_noLocks
    public func block(_ index: Int32) -> (bytes: UnsafeRawBufferPointer, next: Int32) {
        precondition(index >= 0 && Int(index) < capacity)
        let block = unsafe blocks[Int(index)]
        let start = unsafe bytes + (Int(index) * BlockPool.blockBytes + Int(block.start))
        return unsafe (UnsafeRawBufferPointer(start: start, count: Int(block.end - block.start)), block.next)
    }
}

/// Fixed blocks for all bytes that wait: partial heads, clients on hold, what has no window, what is under send.
///
/// One thread owns it. Blocks are taken last in, first out. What describes a block lies apart from its bytes, so that
/// pages of blocks that are not in use stay untouched.
@safe
public struct BlockPool: ~Copyable {
    /// A page: small enough that a waiting client costs little, large enough that a reply mostly fits.
    public static var blockBytes: Int { @_noLocks get { 4096 } }

    @frozen
    public struct Block: BitwiseCopyable {
        @usableFromInline var next: Int32
        @usableFromInline var start: UInt16
        @usableFromInline var end: UInt16
    }

    public let capacity: Int
    @usableFromInline let bytes: UnsafeMutableRawPointer
    /// Changed by `(blocks + index).pointee` only: the thread sanitizer takes `blocks[index].field +=` for a change of
    /// the first element.
    @usableFromInline let blocks: UnsafeMutablePointer<Block>
    /// Behind a pointer, so that a chain in one record and the pool beside it can be changed in one call.
    @usableFromInline let state: UnsafeMutablePointer<State>

    @usableFromInline
    struct State: BitwiseCopyable {
        @usableFromInline var free: Int32
        /// Blocks from here on have never been taken.
        @usableFromInline var untouched: Int
        @usableFromInline var inUse: Int
        #if DEBUG
        var callsUntilFailure = 0
        #endif
    }

    /// For tests of debug builds: the call after so many others finds no room, once.
    public func failOnce(after calls: Int) {
        #if DEBUG
        unsafe state.pointee.callsUntilFailure = calls + 1
        #endif
    }

    /// Whether a test has wished for that.
    @inline(__always)
    private func failsForTest() -> Bool {
        #if DEBUG
        guard unsafe state.pointee.callsUntilFailure > 0 else { return false }
        unsafe state.pointee.callsUntilFailure -= 1
        return unsafe state.pointee.callsUntilFailure == 0
        #else
        return false
        #endif
    }

    /// Blocks in use.
    @inlinable public var inUse: Int { @_noLocks get { unsafe state.pointee.inUse } }

    public init(capacity: Int) {
        precondition(capacity > 0 && capacity < Int(Int32.max))
        self.capacity = capacity
        // Scanners read up to 64 bytes beyond what they are given.
        unsafe self.bytes = Region(byteCount: capacity * Self.blockBytes + 64).base
        unsafe self.blocks = Region.array(of: Block.self, count: capacity)
        unsafe self.state = .allocate(capacity: 1)
        unsafe state.initialize(to: State(free: -1, untouched: 0, inUse: 0))
    }

    /// The same pool by another name, for code of the same thread that is called back and cannot be handed it.
    public init(sameAs other: borrowing BlockPool) {
        self.capacity = other.capacity
        unsafe self.bytes = other.bytes
        unsafe self.blocks = other.blocks
        unsafe self.state = other.state
    }

    public var view: BlockView { unsafe BlockView(bytes: bytes, blocks: blocks, capacity: capacity) }

    /// Whether at least that many bytes can be added to any chain.
    /// - Parameter spared: blocks that have to be left for what is more important.
    @inlinable @_noLocks
    public func hasRoom(for count: Int, sparing spared: Int = 0) -> Bool {
        (capacity - spared - inUse) * Self.blockBytes >= count + Self.blockBytes
    }

    /// Copies `source` to the end of the chain. False, and nothing done, when the pool has no room.
    /// - Parameter spared: blocks that have to be left for what is more important.
    @_noLocks
    public func append(_ source: UnsafeRawBufferPointer, to chain: inout Chain, sparing spared: Int = 0) -> Bool {
        guard source.count > 0 else { return true }
        guard hasRoom(for: source.count, sparing: spared), !failsForTest(), var from = source.baseAddress else {
            return false
        }
        var left = source.count
        while left > 0 {
            let room = self.room(at: chain)
            if room == 0 {
                extend(&chain)
                continue
            }
            let count = min(room, left)
            unsafe writable(at: chain).copyMemory(from: from, byteCount: count)
            commit(count, to: &chain)
            unsafe from += count
            left -= count
        }
        return true
    }

    /// A place for up to `count` bytes (at most a block) that lie together at the end of the chain; `commit` what was
    /// written. Nil when the pool is exhausted.
    @_noLocks
    public func reserve(_ count: Int, in chain: inout Chain) -> UnsafeMutableRawPointer? {
        precondition(count >= 0 && count <= Self.blockBytes)
        // A chain without a block has no place either, not even for nothing.
        if chain.tail < 0 || room(at: chain) < count {
            guard inUse < capacity, !failsForTest() else { return nil }
            extend(&chain)
        }
        return unsafe writable(at: chain)
    }

    /// Counts bytes that were written at the place that `reserve` gave.
    @inlinable @_noLocks
    public func commit(_ count: Int, to chain: inout Chain) {
        precondition(chain.tail >= 0 && count >= 0 && count <= room(at: chain))
        unsafe (blocks + Int(chain.tail)).pointee.end += UInt16(truncatingIfNeeded: count)
        chain.count += count
    }

    /// The first bytes of the chain that lie together; none only if the chain is empty.
    @inlinable @_noLocks
    public func front(of chain: Chain) -> UnsafeRawBufferPointer {
        guard chain.head >= 0 else { return unsafe UnsafeRawBufferPointer(start: nil, count: 0) }
        return unsafe bytes(of: chain.head)
    }

    /// The bytes of one block.
    @inlinable @_noLocks
    public func bytes(of index: Int32) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && Int(index) < capacity)
        let block = unsafe blocks[Int(index)]
        let start = unsafe bytes + (Int(index) * Self.blockBytes + Int(block.start))
        return unsafe UnsafeRawBufferPointer(start: start, count: Int(block.end - block.start))
    }

    /// The block behind this one in its chain, or -1.
    @inlinable @_noLocks
    public func next(of index: Int32) -> Int32 {
        precondition(index >= 0 && Int(index) < capacity)
        return unsafe blocks[Int(index)].next
    }

    /// Drops bytes from the front of the chain and frees blocks that are used up.
    @_noLocks
    public func drop(_ count: Int, from chain: inout Chain) {
        precondition(count >= 0 && count <= chain.count)
        var left = count
        chain.count -= count
        while chain.head >= 0 {
            let index = Int(chain.head)
            let size = unsafe Int(blocks[index].end - blocks[index].start)
            if left < size {
                unsafe (blocks + index).pointee.start += UInt16(truncatingIfNeeded: left)
                return
            }
            // Used up, or reserved and never written to: such a block must not become the front.
            left -= size
            chain.head = unsafe blocks[index].next
            release(Int32(truncatingIfNeeded: index))
        }
        chain.tail = -1
    }

    /// Gives the whole chain back.
    @_noLocks
    public func clear(_ chain: inout Chain) {
        drop(chain.count, from: &chain)
    }

    /// Puts `second` behind `first` without a copy; `second` is empty afterwards.
    @_noLocks
    public func join(_ second: inout Chain, to first: inout Chain) {
        guard second.count > 0 else {
            clear(&second)
            return
        }
        if first.count > 0 {
            unsafe (blocks + Int(first.tail)).pointee.next = second.head
        } else {
            // A block that was reserved there and never written to must not become the front.
            clear(&first)
            first.head = second.head
        }
        first.tail = second.tail
        first.count += second.count
        second = Chain()
    }

    /// Copies the first bytes of the chain, as many as fit. Returns how many.
    @_noLocks
    public func copy(_ chain: Chain, to destination: UnsafeMutableRawBufferPointer) -> Int {
        var index = chain.head
        var done = 0
        guard let base = destination.baseAddress else { return 0 }
        while index >= 0, done < destination.count {
            let source = unsafe bytes(of: index)
            let count = min(source.count, destination.count - done)
            if count > 0, let start = source.baseAddress {
                unsafe (base + done).copyMemory(from: start, byteCount: count)
            }
            done += count
            index = next(of: index)
        }
        return done
    }

    @inlinable @_noLocks
    func room(at chain: Chain) -> Int {
        guard chain.tail >= 0 else { return 0 }
        return unsafe Self.blockBytes - Int(blocks[Int(chain.tail)].end)
    }

    @inlinable @_noLocks
    func writable(at chain: Chain) -> UnsafeMutableRawPointer {
        let index = Int(chain.tail)
        return unsafe bytes + (index * Self.blockBytes + Int(blocks[index].end))
    }

    /// Adds an empty block; the caller has seen that there is one.
    private func extend(_ chain: inout Chain) {
        let index: Int32
        if unsafe state.pointee.free >= 0 {
            index = unsafe state.pointee.free
            unsafe state.pointee.free = unsafe blocks[Int(index)].next
        } else {
            precondition(unsafe state.pointee.untouched < capacity)
            index = unsafe Int32(truncatingIfNeeded: state.pointee.untouched)
            unsafe state.pointee.untouched += 1
        }
        unsafe state.pointee.inUse += 1
        unsafe blocks[Int(index)] = Block(next: -1, start: 0, end: 0)
        if chain.tail >= 0 {
            unsafe (blocks + Int(chain.tail)).pointee.next = index
        } else {
            chain.head = index
        }
        chain.tail = index
    }

    private func release(_ index: Int32) {
        unsafe (blocks + Int(index)).pointee.next = state.pointee.free
        unsafe state.pointee.free = index
        unsafe state.pointee.inUse -= 1
    }
}
