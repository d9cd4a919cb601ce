/// Publishes snapshots to all reactors and frees them when no reactor reads them any more. Owned by the control thread.
///
/// Why that is safe is told at `SnapshotMailbox`.
public struct SnapshotPublisher: ~Copyable {
    /// One for each reactor, in their order.
    public let mailboxes: [SnapshotMailbox]
    /// What has been published last.
    public private(set) var current: Snapshot
    /// What has been published before and may still be read, the oldest first.
    private var retired: [Snapshot] = []

    /// Owns the snapshot from here on. The reactors find it when they begin.
    public init(reactors: Int, first: Snapshot) {
        precondition(reactors > 0 && reactors <= SessionHandle.reactorLimit, "no such number of reactors")
        mailboxes = (0..<reactors).map { _ in SnapshotMailbox(first) }
        current = first
    }

    /// How many tables wait for a reactor to go on. Grows only while a reactor is in one long turn.
    public var retiredCount: Int { retired.count }

    /// The generation of the oldest table that a reactor may still read.
    public var oldestGeneration: UInt64 { retired.first?.generation ?? current.generation }

    /// Publishes a snapshot, owns it from here on, and retires the one before.
    /// - Returns: the reactors that have to be woken, for they sleep.
    public mutating func publish(_ snapshot: Snapshot) -> [Int] {
        precondition(snapshot.generation > current.generation, "generations grow")
        var sleepers: [Int] = []
        for (reactor, mailbox) in mailboxes.enumerated() where mailbox.store(snapshot) {
            sleepers.append(reactor)
        }
        retired.append(current)
        current = snapshot
        reclaim()
        return sleepers
    }

    /// Frees the tables that no reactor can read any more. Cheap; publishing does it by itself.
    /// - Returns: how many had to stay.
    @discardableResult
    public mutating func reclaim() -> Int {
        var unread = 0
        while unread < retired.count {
            let successor = unread + 1 < retired.count ? retired[unread + 1] : current
            let generation = successor.generation
            guard mailboxes.allSatisfy({ $0.hasLeftBehind(before: generation) }) else { break }
            retired[unread].deallocate()
            unread += 1
        }
        retired.removeFirst(unread)
        return retired.count
    }

    /// Frees what is left. Every reactor must have left, or not have begun. If one works, everything stays for ever: a
    /// leak at the end of a program is better than a reader of freed memory.
    deinit {
        guard mailboxes.allSatisfy({ $0.isSleeping }) else { return }
        for mailbox in mailboxes {
            mailbox.deallocate()
        }
        for snapshot in retired {
            snapshot.deallocate()
        }
        current.deallocate()
    }
}
