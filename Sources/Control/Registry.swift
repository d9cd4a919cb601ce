internal import Registration
internal import Routing
internal import TLS

/// What is registered: listeners, routes, sessions, and who is held until when. Pure: it opens nothing and knows no
/// clock. Facts and the time come in; what has to be done about them comes out.
///
/// Order of calls for a registration: `hasRoomForSession`, `listener(for:)`, `openListener` if there is none yet, then
/// `addSession`. What reactors report comes in by `sessionDrains`, `sessionIsGone`, `sessionIsReleased` and
/// `listenerIsClosed`; the clock by `expireHolds`. After any of them `hasChanged` tells whether a new snapshot has to
/// be published, and `takeDefinitions` is what goes into it.
struct Registry {
    struct Bounds {
        var reactors = 1
        /// Sessions at once.
        var sessions = 4096
        /// Listeners at once.
        var listeners = 4096
        /// Held ports that nobody has named and one peer has left.
        var unnamedHeld: Int { max(4, listeners / 16) }
        /// Routes with figures of their own at once.
        var figures = 512
        /// How long a route stays without a session, in milliseconds.
        var hold: UInt64 = 30_000
    }

    let bounds: Bounds
    var listeners = ListenerTable()
    var routes: [UInt32: RegisteredRoute] = [:]
    var sessions: [SessionHandle: RegisteredSession] = [:]
    /// Routes without a session.
    var heldRoutes: Set<UInt32> = []
    /// Routes that may have certificates which no session brings any more.
    var routesWithUnused: Set<UInt32> = []
    /// One a reactor.
    var slots: [SessionSlots]
    var figureSlots: FigureSlots
    /// Sessions that are not gone. (One that is gone keeps its slot until its reactor has let go of it.)
    var livingSessions = 0
    /// How many certificates have come so far.
    var certificatesSeen: UInt64 = 0
    /// What the log has to tell of certificates.
    var certificateNews: [CertificateNews] = []
    private var lastRouteID: UInt32 = 0
    /// Whether reactors have to learn of something.
    private(set) var hasChanged = false

    init(_ bounds: Bounds) {
        self.bounds = bounds
        slots = (0..<bounds.reactors).map { _ in SessionSlots(capacity: bounds.sessions) }
        figureSlots = FigureSlots(count: bounds.figures)
    }

    /// Every open listener with its routes, for the next snapshot. `hasChanged` is false afterwards.
    mutating func takeDefinitions() -> [ListenerDefinition] {
        hasChanged = false
        renewCertificates()
        return listeners.open.map { slot, listener in
            ListenerDefinition(
                index: slot, routes: listener.routes.values.map { definition(of: $0) },
                certificates: listener.certificates?.reference.address ?? 0)
        }
    }

    private func definition(of id: UInt32) -> RouteDefinition {
        guard let route = routes[id] else { preconditionFailure("a listener names a route that is not there") }
        let reuses = route.sessions.contains { sessions[$0]?.reusesStreams == true }
        return RouteDefinition(
            id: id, kind: route.pattern.kind, sessions: route.sessions, reuseStreams: reuses, figures: route.figures)
    }

    /// The route that counts as this owner, if somebody has registered it.
    func route(of owner: FigureOwner) -> RegisteredRoute? {
        guard case .open(let slot) = listeners.place(for: owner.address) else { return nil }
        return listeners[slot]?.routes[owner.pattern].flatMap { routes[$0] }
    }

    mutating func noteChange() {
        hasChanged = true
    }

    /// A number that no route has.
    mutating func nextRouteID() -> UInt32 {
        repeat {
            lastRouteID = lastRouteID &+ 1
            // The highest two are the reactors' own.
        } while lastRouteID >= .max - 1 || routes[lastRouteID] != nil
        return lastRouteID
    }
}

/// Which clients of a listener a service wants: the key of a route.
enum ClientPattern: Hashable, Sendable {
    case raw
    case http(RoutePattern)

    init(_ definition: CanonicalDefinition) {
        self = definition.pattern.map { .http($0) } ?? .raw
    }

    var kind: RouteDefinition.Kind {
        switch self {
        case .raw: .raw
        case .http(let pattern): .http(domainSuffix: pattern.domainSuffix, pathPrefix: pattern.pathPrefix)
        }
    }
}

extension ClientPattern: CustomStringConvertible {
    /// For the log: `example.com/api`, `*/`, `raw connections`.
    var description: String {
        switch self {
        case .raw: "raw connections"
        case .http(let pattern):
            logText(
                (pattern.domainSuffix.isEmpty ? "*" : pattern.domainSuffix)
                    + (pattern.pathPrefix.isEmpty ? "/" : pattern.pathPrefix))
        }
    }
}

/// A route as the log names it: `example.com/api on 127.0.0.1:8000`.
struct RouteName: Hashable, Sendable, CustomStringConvertible {
    let pattern: ClientPattern
    let address: PublicAddress
    /// Somebody has registered for the port by its number.
    var isNamed = true

    var description: String { "\(pattern) on \(address)" }

    /// What a line about the route is about. Ports that nobody has named are one subject: each of them is new.
    func subject(_ event: String) -> LogSubject {
        var hasher = Hasher()
        hasher.combine(pattern)
        hasher.combine(isNamed ? address : PublicAddress(address: address.address, port: 0))
        let place = isNamed ? description : "\(pattern) on \(address.address), each time on a free port"
        return LogSubject(event, place, identity: hasher.finalize(), allowance: isNamed ? .route : .many)
    }
}

/// A route as the registry knows it.
struct RegisteredRoute {
    let id: UInt32
    let pattern: ClientPattern
    /// The slot of its listener, and where that listens.
    let listener: Int
    let address: PublicAddress
    /// Where reactors count what becomes of its clients.
    let figures: UInt16
    /// Those that take new streams.
    var sessions: [SessionHandle] = []
    /// Since when there are none, on the caller's clock.
    var heldSince: UInt64?
    /// Certificates that its sessions have brought, or the last ones before it was held.
    var identities: [RouteIdentity] = []

}

/// A session as the registry knows it.
struct RegisteredSession {
    enum Phase {
        case live
        /// It takes no new streams.
        case draining
        /// Its slot is still in use.
        case gone
    }

    let handle: SessionHandle
    let route: UInt32
    /// Of its route, which may be gone before it.
    let routeName: RouteName
    /// Who registered, for the log.
    let service: String
    /// The machine or user of that service.
    let peer: String
    let reusesStreams: Bool
    let identity: Identity?
    /// When it was registered, on the caller's clock.
    let since: UInt64
    var phase = Phase.live
}
