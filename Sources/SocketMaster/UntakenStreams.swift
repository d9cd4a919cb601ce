import Synchronization

/// How many streams of a session have been initialized and not been taken by the application. Counted by the session's
/// event loop, uncounted by the listener's.
final class UntakenStreams: Sendable {
    /// With so many untaken, the others wait unacknowledged: the proxy may give them to somebody else.
    static let maximum = 64

    private let count = Atomic<Int>(0)

    var isFull: Bool { count.load(ordering: .acquiring) >= Self.maximum }

    func add() { count.add(1, ordering: .acquiringAndReleasing) }

    /// - Returns: whether there is room again after there was none.
    func remove() -> Bool {
        count.subtract(1, ordering: .acquiringAndReleasing).oldValue == Self.maximum
    }
}
