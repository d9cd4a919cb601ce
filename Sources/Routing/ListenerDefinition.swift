/// A listener as the control thread describes it for the next snapshot.
public struct ListenerDefinition: Sendable {
    /// Its slot, which reactors know it by. Stable as long as it is open; at most `maximumIndex`.
    public var index: Int
    /// At most one raw one, and no two with the same suffix and prefix: equal registrations share a route.
    public var routes: [RouteDefinition]
    /// What clients here choose a certificate from, by its address; 0: they do not speak TLS. It is not looked into
    /// here, and has to live as long as the snapshot.
    public var certificates: UInt

    public init(index: Int, routes: [RouteDefinition], certificates: UInt = 0) {
        self.index = index
        self.routes = routes
        self.certificates = certificates
    }

    /// The table has a record for each slot up to the highest one in use.
    public static let maximumIndex = 65_535
}

/// A route as the control thread describes it for the next snapshot.
public struct RouteDefinition: Sendable {
    public enum Kind: Sendable {
        /// Everything that comes.
        case raw
        /// Both texts in canonical form, as `Registration.RoutePattern` has them.
        case http(domainSuffix: String, pathPrefix: String)
    }

    /// The same in every snapshot as long as the route exists. No two routes of a snapshot share one.
    public var id: UInt32
    public var kind: Kind
    /// In any order. None: the route is held.
    public var sessions: [SessionHandle]
    /// Whether idempotent requests may take a stream that has already carried one.
    public var reuseStreams: Bool
    /// Where reactors count what becomes of its clients.
    public var figures: UInt16

    public init(id: UInt32, kind: Kind, sessions: [SessionHandle], reuseStreams: Bool, figures: UInt16 = 0) {
        self.id = id
        self.kind = kind
        self.sessions = sessions
        self.reuseStreams = reuseStreams
        self.figures = figures
    }
}
