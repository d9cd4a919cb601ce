import Memory
import Yamux

/// Finds the slot of a stream by its session and id: open addressing over one fixed array, at most half full.
///
/// An entry has a mark instead of the session and the id, which lie in the stream's own record: the table is touched
/// all over as ids grow, so it is kept small. Two streams with one mark are told apart by their records.
///
/// Keys are ours, never a peer's choice, so a multiplicative hash is enough. Removal shifts what follows back, so there
/// are no tombstones and the table does not age.
@safe
struct StreamTable: ~Copyable {
    private struct Entry: BitwiseCopyable {
        var mark: UInt32
        /// Slot + 1; 0: empty.
        var number: Int32
    }

    private let entries: UnsafeMutablePointer<Entry>
    private let mask: Int
    private let shift: UInt64
    private(set) var count = 0
    /// Entries that do not stand where their mark would have them. Most often there are none, and then removal moves
    /// nothing: the neighbours of a stream are those that were opened before and after it.
    private(set) var displaced = 0

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
    /// - Parameter streams: where the slots are.
    @_noLocks
    func find(session: Int32, id: UInt32, in streams: borrowing Slab<Stream>) -> Int32 {
        let mark = Self.mark(session, id)
        var position = home(mark)
        while true {
            let entry = unsafe entries[position]
            let slot = entry.number &- 1
            if slot < 0 { return -1 }
            if entry.mark == mark, streams[slot].session == session, streams[slot].state.id == id { return slot }
            position = (position &+ 1) & mask
        }
    }

    @_noLocks
    mutating func insert(session: Int32, id: UInt32, slot: Int32) {
        precondition(2 * count <= mask && slot >= 0)
        let mark = Self.mark(session, id)
        var position = home(mark)
        let start = position
        while unsafe entries[position].number != 0 { position = (position &+ 1) & mask }
        unsafe entries[position] = Entry(mark: mark, number: slot + 1)
        count += 1
        if position != start { displaced += 1 }
    }

    @_noLocks
    mutating func remove(session: Int32, id: UInt32, slot: Int32) {
        let start = home(Self.mark(session, id))
        var hole = start
        while unsafe entries[hole].number != slot + 1 {
            precondition(unsafe entries[hole].number != 0, "a stream that is not in the table")
            hole = (hole &+ 1) & mask
        }
        count -= 1
        if hole != start { displaced -= 1 }
        guard displaced > 0 else { return unsafe entries[hole].number = 0 }
        closeGap(hole)
    }

    /// Moves back what could not be found any more behind an empty entry.
    @inline(never)
    private mutating func closeGap(_ gap: Int) {
        var hole = gap
        var next = (hole &+ 1) & mask
        while unsafe entries[next].number != 0 {
            let wanted = unsafe home(entries[next].mark)
            // It may move into the hole if its home does not lie behind the hole.
            if (next &- wanted) & mask >= (next &- hole) & mask {
                unsafe entries[hole] = entries[next]
                if hole == wanted { displaced -= 1 }
                hole = next
            }
            next = (next &+ 1) & mask
        }
        unsafe entries[hole].number = 0
    }

    /// That every entry is found from its home, and the displaced ones are counted. Debug builds alone.
    func checkInvariants() {
        #if DEBUG
        var (found, away) = (0, 0)
        for position in 0...mask where unsafe entries[position].number != 0 {
            found += 1
            let start = unsafe home(entries[position].mark)
            if start != position { away += 1 }
            var place = start
            while place != position {
                assert(unsafe entries[place].number != 0, "a gap before an entry hides it")
                place = (place &+ 1) & mask
            }
        }
        assert(found == count && away == displaced)
        #endif
    }

    /// The id with its upper bits mixed with the session. The lower ones stay, for `home`.
    @inline(__always)
    private static func mark(_ session: Int32, _ id: UInt32) -> UInt32 {
        id ^ (UInt32(bitPattern: session) &* 0x9E37_79B1) & ~63
    }

    /// Streams that a session opened one after the other lie side by side, 32 of them: requests come and go in that
    /// order, and a table that is far larger than the cache is touched in few places. The groups are spread.
    @inline(__always)
    private func home(_ mark: UInt32) -> Int {
        let group = (UInt64(mark >> 6) &* 0x9E37_79B9_7F4A_7C15) >> shift
        return (Int(truncatingIfNeeded: group) & ~31 | Int(truncatingIfNeeded: mark >> 1) & 31) & mask
    }
}
