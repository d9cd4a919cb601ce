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

    /// The first id of this side; the others follow in steps of two.
    var firstID: UInt32 {
        @_noLocks get {
            isAcceptor ? 2 : 1
        }
    }
}
