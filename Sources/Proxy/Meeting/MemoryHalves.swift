#if SECOND_KIND
import Memory

/// What a service in memory has got, and how it stands.
struct MemoryHalf: BitwiseCopyable {
    var connection: Int32 = -1
    var session: Int32 = -1
    /// How many bytes it takes at once, and has taken.
    var room = MemoryHalves.roomOfEach
    var taken = 0
    /// What it has been given back.
    var credit = 0
    var isAccepted = false
    /// The client's direction, and its own.
    var isFinished = false
    var isEnded = false
    var parts = HalfParts()
}

/// Services in memory, for the tests alone: release builds have none.
struct MemoryHalves: ~Copyable {
    static var count: Int { 4 }
    static var roomOfEach: Int { 4_096 }

    private let halves = FixedArray(repeating: MemoryHalf(), count: MemoryHalves.count)
    /// What each of them has taken.
    private let bytes = FixedArray<UInt8>(repeating: 0, count: MemoryHalves.count * MemoryHalves.roomOfEach)

    @_noLocks
    subscript(index: Int32) -> MemoryHalf {
        @_noLocks get { halves[index] }
        @_noLocks nonmutating set { halves[index] = newValue }
    }

    var isReady: Bool {
        @_noLocks get {
            for index in 0..<Int32(Self.count) where halves[index].connection < 0 { return true }
            return false
        }
    }

    @_noLocks
    func open(for connection: Int32, _ session: Int32) -> ServiceHalf {
        for index in 0..<Int32(Self.count) where halves[index].connection < 0 {
            halves[index] = MemoryHalf()
            halves[index].connection = connection
            halves[index].session = session
            return ServiceHalf(.memory, index)
        }
        return .none
    }

    @_noLocks
    func close(_ index: Int32) { halves[index].connection = -1 }

    @_noLocks
    func take(_ new: UnsafeRawBufferPointer, _ index: Int32) {
        precondition(new.count <= halves[index].room)
        let start = Int(index) * Self.roomOfEach + halves[index].taken
        for offset in 0..<new.count { unsafe bytes[start + offset] = new[offset] }
        halves[index].taken += new.count
        halves[index].room -= new.count
    }

    /// What a service has been told since its exchange began.
    func text(_ index: Int32) -> String {
        let start = Int(index) * Self.roomOfEach
        return String(decoding: (start..<start + halves[index].taken).map { bytes[$0] }, as: UTF8.self)
    }
}
#endif
