/// Which side of a session this is; it decides whose ids are odd.
@frozen public enum Role: Sendable {
    /// The yamux client: its streams have odd ids.
    case opener
    /// The yamux server: its streams have even ids.
    case acceptor

    /// Whether streams of the other side are wanted.
    var isAcceptor: Bool {
        @_noLocks get {
            switch self {
            case .opener: false
            case .acceptor: true
            }
        }
    }

    /// The lowest id of this side; the others follow in steps of two.
    var firstID: UInt32 {
        @_noLocks get {
            isAcceptor ? 2 : 1
        }
    }

    /// Whether ids like this are given out by this side.
    @_noLocks
    func opens(_ id: UInt32) -> Bool {
        id & 1 == firstID & 1
    }
}
