/// Streams that we reset before the service had accepted them. They lie in its queue until it comes past them, which
/// shows only when a stream opened later is acknowledged, for the queue is first in, first out. Streams go by the
/// positions of `StreamIDs`.
///
/// Two generations keep the memory constant: the older one is complete and goes as a whole when an acknowledgement
/// reaches its last one; what is aborted meanwhile gathers in the newer one, which then takes its place. A stream may
/// count longer than it lies there, never shorter.
@frozen @usableFromInline struct AbortedStreams: Sendable {
    @usableFromInline var olderCount: UInt32 = 0
    @usableFromInline var newerCount: UInt32 = 0
    @usableFromInline var olderLast: UInt64 = 0
    @usableFromInline var newerLast: UInt64 = 0
    /// No stream up to this position lies in the queue any more.
    @usableFromInline var dequeuedThrough: UInt64 = 0

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
    mutating func add(_ position: UInt64, limit: UInt32) {
        guard position > dequeuedThrough else { return }
        if olderCount == 0 || position <= olderLast {
            olderCount = min(olderCount + 1, limit)
            olderLast = max(olderLast, position)
        } else {
            newerCount = min(newerCount + 1, limit)
            newerLast = max(newerLast, position)
        }
        checkInvariants()
    }

    /// The service has taken every stream up to `position` out of its queue.
    @inlinable @_noLocks
    mutating func dequeue(through position: UInt64) {
        guard position > dequeuedThrough else { return }
        dequeuedThrough = position
        if olderCount > 0, position >= olderLast {
            forget()
        }
    }

    @usableFromInline @_noLocks @inline(never)
    mutating func forget() {
        olderCount = newerCount
        olderLast = newerLast
        newerCount = 0
        newerLast = 0
        if dequeuedThrough >= olderLast {
            olderCount = 0
            olderLast = 0
        }
        checkInvariants()
    }

    private func checkInvariants() {
        assert((olderCount == 0) == (olderLast == 0) && (newerCount == 0) == (newerLast == 0))
        assert(newerCount == 0 || (olderCount > 0 && newerLast > olderLast))
        assert(olderCount == 0 || olderLast > dequeuedThrough)
    }
}
