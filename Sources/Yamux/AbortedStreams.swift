/// Streams that we reset before the service had accepted them. They lie in its queue until it comes past them, which
/// shows only when a stream of a higher id is acknowledged, for the queue is first in, first out.
///
/// Two generations keep the memory constant: the older one is complete and goes as a whole when an acknowledgement
/// reaches its highest id; what is aborted meanwhile gathers in the newer one, which then takes its place. A stream may
/// count longer than it lies there, never shorter.
@frozen @usableFromInline struct AbortedStreams: Sendable {
    @usableFromInline var olderCount: UInt32 = 0
    @usableFromInline var olderHighest: UInt32 = 0
    @usableFromInline var newerCount: UInt32 = 0
    @usableFromInline var newerHighest: UInt32 = 0
    /// No stream up to this id lies in the queue any more.
    @usableFromInline var dequeuedThrough: UInt32 = 0

    @inlinable @_noLocks
    init() {}

    /// How many have to be reckoned with.
    @inlinable var count: UInt32 {
        @_noLocks get {
            olderCount + newerCount
        }
    }

    /// Counts one more. Neither generation counts beyond `limit`, because the queue holds no more.
    @_noLocks
    mutating func add(_ id: UInt32, limit: UInt32) {
        guard id > dequeuedThrough else { return }
        if olderCount == 0 || id <= olderHighest {
            olderCount = min(olderCount + 1, limit)
            olderHighest = max(olderHighest, id)
        } else {
            newerCount = min(newerCount + 1, limit)
            newerHighest = max(newerHighest, id)
        }
        checkInvariants()
    }

    /// The service has taken every stream up to `id` out of its queue.
    @inlinable @_noLocks
    mutating func dequeue(through id: UInt32) {
        guard id > dequeuedThrough else { return }
        dequeuedThrough = id
        if olderCount > 0, id >= olderHighest {
            forget()
        }
    }

    @usableFromInline @_noLocks @inline(never)
    mutating func forget() {
        olderCount = newerCount
        olderHighest = newerHighest
        newerCount = 0
        newerHighest = 0
        if dequeuedThrough >= olderHighest {
            olderCount = 0
            olderHighest = 0
        }
        checkInvariants()
    }

    @_noLocks
    private func checkInvariants() {
        assert((olderCount == 0) == (olderHighest == 0) && (newerCount == 0) == (newerHighest == 0))
        assert(newerCount == 0 || (olderCount > 0 && newerHighest > olderHighest))
        assert(olderCount == 0 || olderHighest > dequeuedThrough)
    }
}
