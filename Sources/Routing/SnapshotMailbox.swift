import Synchronization

/// Where one reactor finds the current snapshot, and where the control thread sees whether it still reads an old one.
///
/// The reactor's order of calls: `beginTurn`, work, `endTurn`, and again; within the work `continueTurn` as often as it
/// likes; before it waits for the kernel `prepareSleep`, which it must not do inside of a turn. The control thread's
/// side is `SnapshotPublisher`.
///
/// **Why no publication is slept through.** The publisher stores the address and then loads `sleeping`; the reactor
/// stores `sleeping` and then loads the address. All four are sequentially consistent, so in their one order at least
/// one of the loads comes after the other side's store: the reactor sees the new address and does not sleep, or the
/// publisher sees that it sleeps and wakes it.
///
/// **Why no table is freed under a reader.** A table is freed after its successor was published, and then only if the
/// publisher has seen one of two things since. Either `seen` has reached the successor: the reactor has loaded the
/// successor after its last look at the old table (releasing store in `endTurn`, acquiring load here), and what it
/// loads later is never older. Or `sleeping` was true: its last look came before that store, and its next load of the
/// address comes after the store that ends the sleep, hence, in the one order, after the publication of the successor.
/// The acquiring load alone would not do for that: a processor may move it before the store. That is why the first load
/// after a sleep is sequentially consistent as well.
///
/// It is an address, so that a reactor can keep it without any count of references. The publisher that made it owns the
/// memory and outlives every reactor that has not left.
@safe public struct SnapshotMailbox: @unchecked Sendable {
    private let words: UnsafePointer<MailboxWords>

    init(_ snapshot: Snapshot) {
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: 2 * MailboxWords.lineBytes, alignment: MailboxWords.lineBytes)
        let target = unsafe memory.bindMemory(to: MailboxWords.self, capacity: 1)
        unsafe target.initialize(to: MailboxWords(snapshot))
        unsafe words = UnsafePointer(target)
    }

    /// For the publisher, after the reactor has left.
    func deallocate() {
        // The words are plain, there is nothing to deinitialise.
        unsafe UnsafeMutableRawPointer(mutating: words).deallocate()
    }
}

// The reactor's side.
extension SnapshotMailbox {
    /// The snapshot for the turn that begins. It is valid until `endTurn`, or until the turn's next `continueTurn`.
    @_noLocks public func beginTurn() -> Snapshot {
        unsafe words.pointee.beginTurn()
    }

    /// The newest snapshot in the middle of a turn, for the rest of it. Nothing of the one before may be used any more.
    @_noLocks public func continueTurn() -> Snapshot {
        unsafe words.pointee.continueTurn()
    }

    /// Says that nothing of the turn's snapshot is in use any more.
    @_noLocks public func endTurn() {
        unsafe words.pointee.endTurn()
    }

    /// Says, between two turns, that the reactor is about to wait for the kernel.
    ///
    /// After true, whoever has something for the reactor wakes it (`isSleeping`). Sources that others fill have to be
    /// looked at once more between this call and the wait. `beginTurn` ends the sleep, also one that did not happen.
    /// - Returns: false if something new has been published; do not wait then.
    @_noLocks public func prepareSleep() -> Bool {
        unsafe words.pointee.prepareSleep()
    }

    /// Says that the reactor will not look at any snapshot again, before its thread ends.
    @_noLocks public func leave() {
        unsafe words.pointee.sleeping.store(true, ordering: .sequentiallyConsistent)
    }
}

// Everybody else's side.
extension SnapshotMailbox {
    /// Whether the reactor has to be woken for something that has been left for it just before, by a sequentially
    /// consistent store.
    public var isSleeping: Bool {
        @_noLocks get { unsafe words.pointee.sleeping.load(ordering: .sequentiallyConsistent) }
    }

    /// For the publisher: leaves a snapshot.
    /// - Returns: whether the reactor has to be woken for it.
    func store(_ snapshot: Snapshot) -> Bool {
        unsafe words.pointee.published.store(snapshot.address, ordering: .sequentiallyConsistent)
        return isSleeping
    }

    /// For the publisher: whether the reactor cannot look at tables older than this generation any more. The current
    /// snapshot must have this generation or a higher one.
    func hasLeftBehind(before generation: UInt64) -> Bool {
        unsafe words.pointee.seen.load(ordering: .acquiring) >= generation || isSleeping
    }
}

/// The words of the two sides lie on a cache line each, so that a write of one side does not take the other's away.
private struct MailboxWords: ~Copyable {
    static let lineBytes = 64

    /// Address of the current snapshot. Written by the control thread.
    let published: Atomic<UInt>
    private let padding = InlineArray<7, UInt64>(repeating: 0)
    /// Generation of the snapshot of the last turn that has ended. Written by the reactor.
    let seen = Atomic<UInt64>(0)
    /// What the turn has found last. The reactor's own.
    private let loaded: Atomic<UInt>
    /// The reactor holds nothing out of any snapshot and will not look before it has cleared this. Written by it. Set
    /// before it has begun at all.
    let sleeping = Atomic<Bool>(true)

    init(_ snapshot: Snapshot) {
        published = Atomic(snapshot.address)
        loaded = Atomic(snapshot.address)
    }

    @_noLocks func beginTurn() -> Snapshot {
        guard sleeping.load(ordering: .relaxed) else { return continueTurn() }
        sleeping.store(false, ordering: .sequentiallyConsistent)
        return take(published.load(ordering: .sequentiallyConsistent))
    }

    @_noLocks func continueTurn() -> Snapshot {
        take(published.load(ordering: .acquiring))
    }

    @_noLocks private func take(_ address: UInt) -> Snapshot {
        loaded.store(address, ordering: .relaxed)
        return Self.snapshot(at: address)
    }

    @_noLocks func endTurn() {
        let hasEnded = sleeping.load(ordering: .relaxed)
        precondition(!hasEnded, "a turn ends once, and before the sleep is prepared")
        let generation = Self.snapshot(at: loaded.load(ordering: .relaxed)).generation
        if seen.load(ordering: .relaxed) != generation {
            seen.store(generation, ordering: .releasing)
        }
    }

    @_noLocks func prepareSleep() -> Bool {
        sleeping.store(true, ordering: .sequentiallyConsistent)
        // Only compared, not looked into: from here on the table may be freed. Should another table have got the
        // address of the last one, then this reactor was seen sleeping in between, and a wake-up is on its way.
        return published.load(ordering: .sequentiallyConsistent) == loaded.load(ordering: .relaxed)
    }

    @_noLocks private static func snapshot(at address: UInt) -> Snapshot {
        guard let snapshot = Snapshot(address: address) else {
            preconditionFailure("a mailbox always has a snapshot")
        }
        return snapshot
    }
}
