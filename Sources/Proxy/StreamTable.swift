import Memory

/// Finds the slot of a stream by its session and id: open addressing over one fixed array, at most half full.
///
/// Keys are ours, never a peer's choice, so a multiplicative hash is enough. Removal shifts what follows back, so there
/// are no tombstones and the table does not age.
@safe
struct StreamTable: ~Copyable {
    private struct Entry: BitwiseCopyable {
        /// Session + 1 in the upper half, stream id in the lower; 0: empty.
        var key: UInt64
        var slot: Int32
    }

    private let entries: UnsafeMutablePointer<Entry>
    private let mask: Int
    private let shift: UInt64
    private(set) var count = 0

    /// Memory for each stream of its capacity, in bytes, at most.
    static var bytesPerStream: Int { 4 * MemoryLayout<Entry>.stride }

    /// - Parameter capacity: the most streams that will ever be in it.
    init(capacity: Int) {
        var size = 16
        var bits: UInt64 = 4
        while size < 2 * capacity {
            size *= 2
            bits += 1
        }
        unsafe entries = Region.array(of: Entry.self, count: size)
        mask = size - 1
        shift = 64 - bits
    }

    /// The slot, or -1.
    @_noLocks
    func find(session: Int32, id: UInt32) -> Int32 {
        let key = Self.key(session, id)
        var position = home(key)
        while true {
            let entry = unsafe entries[position]
            if entry.key == key { return entry.slot }
            if entry.key == 0 { return -1 }
            position = (position &+ 1) & mask
        }
    }

    @_noLocks
    mutating func insert(session: Int32, id: UInt32, slot: Int32) {
        precondition(2 * count <= mask)
        let key = Self.key(session, id)
        var position = home(key)
        while unsafe entries[position].key != 0 { position = (position &+ 1) & mask }
        unsafe entries[position] = Entry(key: key, slot: slot)
        count += 1
    }

    @_noLocks
    mutating func remove(session: Int32, id: UInt32) {
        let key = Self.key(session, id)
        var hole = home(key)
        while unsafe entries[hole].key != key {
            precondition(unsafe entries[hole].key != 0, "a stream that is not in the table")
            hole = (hole &+ 1) & mask
        }
        count -= 1
        var next = (hole &+ 1) & mask
        while unsafe entries[next].key != 0 {
            let wanted = unsafe home(entries[next].key)
            // It may move into the hole if its home does not lie behind the hole.
            if (next &- wanted) & mask >= (next &- hole) & mask {
                unsafe entries[hole] = entries[next]
                hole = next
            }
            next = (next &+ 1) & mask
        }
        unsafe entries[hole].key = 0
    }

    @inline(__always)
    private static func key(_ session: Int32, _ id: UInt32) -> UInt64 {
        UInt64(UInt32(bitPattern: session &+ 1)) << 32 | UInt64(id)
    }

    /// Streams that a session opened one after the other lie side by side, 32 of them: requests come and go in that
    /// order, and a table that is far larger than the cache is touched in few places. The groups are spread.
    @inline(__always)
    private func home(_ key: UInt64) -> Int {
        let group = ((key >> 6) &* 0x9E37_79B9_7F4A_7C15) >> shift
        return (Int(truncatingIfNeeded: group) & ~31 | Int(truncatingIfNeeded: key >> 1) & 31) & mask
    }
}
