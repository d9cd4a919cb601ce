import Synchronization

/// How many streams of a session have been initialized and not been taken by the application. Counted by the session's
/// event loop, uncounted by the listener's.
final class UntakenStreams: Sendable {
    /// With so many untaken, the others wait unacknowledged: the proxy may give them to somebody else.
    static let maximum = 64

    private let count = Atomic<Int>(0)

    var isFull: Bool { count.load(ordering: .acquiring) >= Self.maximum }

    func add() {
        let before = count.add(1, ordering: .acquiringAndReleasing).oldValue
        assert(0..<Self.maximum ~= before, "no stream is initialized beyond the bound")
    }

    /// - Returns: whether there is room again after there was none.
    func remove() -> Bool {
        let before = count.subtract(1, ordering: .acquiringAndReleasing).oldValue
        assert(before > 0, "a stream is taken once")
        return before == Self.maximum
    }
}
