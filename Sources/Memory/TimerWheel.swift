/// Deadlines of a fixed set of nodes: schedule, cancel and expire in constant time, whatever their number.
///
/// Four levels of 64 slots; a slot of the first is 16 ms wide, so the wheel reaches 74 hours. A node that is due later
/// waits in the farthest slot and is sorted in anew. Deadlines are kept to the tick, never early. Whoever moves a
/// deadline later does not touch the wheel at all: it looks at the true one when the node expires.
@safe
public struct TimerWheel: ~Copyable {
    public static var tickMilliseconds: UInt64 { 16 }
    public static var bytesPerNode: Int { MemoryLayout<Node>.stride }
    static var slotBits: UInt64 { 6 }
    static var levels: Int { 4 }

    struct Node: BitwiseCopyable {
        var next: Int32
        var previous: Int32
        /// In ticks; 0: not scheduled.
        var due: UInt64
        var slot: Int32
    }

    /// Nodes, then the list heads of all slots, each a node of its own, then the list of the expired.
    private let nodes: UnsafeMutablePointer<Node>
    public let capacity: Int
    private var currentTick: UInt64
    /// One bit a slot that is not empty, a word a level.
    private var occupied: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    public private(set) var scheduledCount = 0

    public init(capacity: Int, now: UInt64) {
        self.capacity = capacity
        self.currentTick = now / Self.tickMilliseconds + 1
        let heads = Self.levels * 64 + 1
        unsafe self.nodes = Region.array(of: Node.self, count: capacity + heads)
        for head in capacity..<(capacity + heads) {
            let index = Int32(head)
            unsafe nodes[head] = Node(next: index, previous: index, due: 0, slot: 0)
        }
    }

    @_noLocks
    public func isScheduled(_ node: Int32) -> Bool {
        precondition(node >= 0 && Int(node) < capacity)
        return unsafe nodes[Int(node)].due != 0
    }

    /// When the node will expire, in milliseconds, or the end of time.
    @_noLocks
    public func deadline(of node: Int32) -> UInt64 {
        precondition(node >= 0 && Int(node) < capacity)
        let due = unsafe nodes[Int(node)].due
        // Rounded up to the tick, the last milliseconds of time lie beyond it.
        return due == 0 || due > .max / Self.tickMilliseconds ? .max : due * Self.tickMilliseconds
    }

    /// The node expires at the first tick at or after `deadline`; a former deadline is forgotten.
    @_noLocks
    public mutating func schedule(_ node: Int32, at deadline: UInt64) {
        cancel(node)
        let due = deadline / Self.tickMilliseconds &+ (deadline % Self.tickMilliseconds == 0 ? 0 : 1)
        unsafe nodes[Int(node)].due = max(due, currentTick)
        scheduledCount += 1
        insert(node)
    }

    @_noLocks
    public mutating func cancel(_ node: Int32) {
        precondition(node >= 0 && Int(node) < capacity)
        guard unsafe nodes[Int(node)].due != 0 else { return }
        unlink(node)
        unsafe nodes[Int(node)].due = 0
        scheduledCount -= 1
    }

    /// Moves the wheel to `now`; `nextExpired` then gives what is due.
    @_noLocks
    public mutating func advance(to now: UInt64) {
        let target = now / Self.tickMilliseconds
        while currentTick <= target {
            if scheduledCount == 0 {
                currentTick = target + 1
                return
            }
            expire(level: 0, tick: currentTick)
            currentTick += 1
            if currentTick & 63 == 0 { cascade() }
        }
    }

    /// An expired node, no longer scheduled, or -1; in the order of their ticks. Nodes may be scheduled and canceled
    /// between calls.
    @_noLocks
    public mutating func nextExpired() -> Int32 {
        let head = Int32(capacity + Self.levels * 64)
        let node = unsafe nodes[Int(head)].next
        guard node != head else { return -1 }
        cancel(node)
        return node
    }

    /// Milliseconds until `advance` may have something to do, at least; 0 while `nextExpired` has something, -1 when
    /// nothing is scheduled.
    @_noLocks
    public func millisecondsToNext(from now: UInt64) -> Int64 {
        guard scheduledCount > 0 else { return -1 }
        let expired = capacity + Self.levels * 64
        guard unsafe Int(nodes[expired].next) == expired else { return 0 }
        let base = currentTick & 63
        // The first level is exact up to its turn; beyond it, look again at the turn.
        let ahead = occupied.0 >> base
        let ticks = ahead != 0 ? UInt64(ahead.trailingZeroBitCount) : 64 - base
        let at = (currentTick + ticks) * Self.tickMilliseconds
        return at > now ? Int64(truncatingIfNeeded: at - now) : 0
    }

    private mutating func insert(_ node: Int32) {
        let due = unsafe nodes[Int(node)].due
        // Where the wheel stands in a level was sorted in when it got there: a node put into that slot now means the
        // next time round, and that is where a distance just short of a level's reach belongs.
        let farthest = currentTick + (1 << (Self.slotBits * UInt64(Self.levels))) - 1
        let tick = min(due, farthest)
        let distance = tick - currentTick
        var level = 0
        while level < Self.levels - 1, distance >> (Self.slotBits * UInt64(level + 1)) != 0 { level += 1 }
        link(node, at: level * 64 + Int(slotNumber(tick, level)))
    }

    @inline(__always)
    private func slotNumber(_ tick: UInt64, _ level: Int) -> UInt64 {
        (tick >> (Self.slotBits * UInt64(level))) & 63
    }

    private mutating func expire(level: Int, tick: UInt64) {
        let slot = slotNumber(tick, level)
        let head = Int32(capacity + level * 64 + Int(slot))
        while unsafe nodes[Int(head)].next != head {
            let node = unsafe nodes[Int(head)].next
            unlink(node)
            if unsafe nodes[Int(node)].due <= tick {
                link(node, at: Self.levels * 64)
            } else {
                insert(node)
            }
        }
    }

    /// At the start of a level's turn, what waits in the next level's slot is sorted in anew.
    private mutating func cascade() {
        var level = 1
        while level < Self.levels {
            let slot = slotNumber(currentTick, level)
            resort(level * 64 + Int(slot))
            if slot != 0 { return }
            level += 1
        }
    }

    private mutating func resort(_ slot: Int) {
        let head = Int32(capacity + slot)
        // Taken off as a whole first: what still belongs here must not be met again.
        var node = unsafe nodes[Int(head)].next
        guard node != head else { return }
        unsafe nodes[Int(nodes[Int(head)].previous)].next = -1
        unsafe nodes[Int(head)].next = head
        unsafe nodes[Int(head)].previous = head
        clearOccupied(slot)
        while node >= 0 {
            let next = unsafe nodes[Int(node)].next
            insert(node)
            node = next
        }
    }

    private mutating func link(_ node: Int32, at slot: Int) {
        let head = Int32(capacity + slot)
        let last = unsafe nodes[Int(head)].previous
        unsafe nodes[Int(node)].next = head
        unsafe nodes[Int(node)].previous = last
        unsafe nodes[Int(node)].slot = Int32(slot)
        unsafe nodes[Int(last)].next = node
        unsafe nodes[Int(head)].previous = node
        setOccupied(slot)
    }

    private mutating func unlink(_ node: Int32) {
        let entry = unsafe nodes[Int(node)]
        unsafe nodes[Int(entry.previous)].next = entry.next
        unsafe nodes[Int(entry.next)].previous = entry.previous
        if entry.next == entry.previous, Int(entry.next) >= capacity { clearOccupied(Int(entry.slot)) }
    }

    @inline(__always)
    private mutating func setOccupied(_ slot: Int) {
        let bit = UInt64(1) << UInt64(slot & 63)
        switch slot >> 6 {
        case 0: occupied.0 |= bit
        case 1: occupied.1 |= bit
        case 2: occupied.2 |= bit
        case 3: occupied.3 |= bit
        default: break
        }
    }

    @inline(__always)
    private mutating func clearOccupied(_ slot: Int) {
        let bit = ~(UInt64(1) << UInt64(slot & 63))
        switch slot >> 6 {
        case 0: occupied.0 &= bit
        case 1: occupied.1 &= bit
        case 2: occupied.2 &= bit
        case 3: occupied.3 &= bit
        default: break
        }
    }
}
