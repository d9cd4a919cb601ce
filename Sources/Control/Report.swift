public import Proxy

/// How the proxy is at a moment: what is registered, and all figures. A value, made by the control thread for whoever
/// asks (``ReportDesk``).
///
/// Counts are of the whole process since its start, and none of them falls. They are read one after the other while
/// reactors go on, so a sum is made of what was read, and is no snapshot.
public struct Report: Sendable {
    /// Seconds since 1970.
    public var time: Double
    public var uptimeSeconds: Double
    public var processID: Int32
    public var isDraining: Bool
    /// Every reactor has taken a turn since it was woken, five seconds ago at most.
    public var isAlive: Bool
    public var limits: DataPlaneLimits
    /// Clients, and blocks of buffers in use.
    public var connections: Int
    public var blocksInUse: Int

    public var listeners: [ListenerReport]
    public var routes: [RouteReport]
    public var sessions: [SessionReport]
    public var reactors: [ReactorReport]
    /// Of all routes, of those that are gone, and of requests that have found none.
    public var totals: RouteFigures
    /// Registrations so far, by what became of them.
    public var registrations: [RegistrationResult: UInt64]
    /// Sessions that have ended so far, by why.
    public var sessionEnds: [SessionEnd: UInt64]
    /// Lines of the log that were left out because nobody took them.
    public var linesLeftOut: UInt64
    /// What reactors count of themselves, and what clients of all listeners were told, those of closed ones as well.
    public var counters: [UInt64]

    public subscript(counter: Counter) -> UInt64 { counters[counter.rawValue] }
}

/// What became of a registration.
public enum RegistrationResult: String, CaseIterable, Sendable {
    case accepted = "ok"
    /// It was none, or not complete in time.
    case malformed
    /// The port cannot be had.
    case port
    case certificate
    /// There are as many sessions, listeners or registrations under way as there may be.
    case limit
    /// The proxy stops.
    case stopping
}

public struct ListenerReport: Sendable {
    public struct Certificate: Sendable {
        public var names: [String]
        /// Seconds since 1970.
        public var notAfter: Int64
    }

    public var address: String
    public var isTLS: Bool
    public var routes: Int
    /// Clients that wait at it for a service, and what they have said.
    public var waiting: UInt64
    public var waitingBytes: UInt64
    public var certificates: [Certificate]
    /// By `ListenerCounter.rawValue`. They go on when the listener is opened again.
    public var counts: [UInt64]

    public subscript(counter: ListenerCounter) -> UInt64 { counts[counter.rawValue] }
}

public struct RouteReport: Sendable {
    public enum Kind: String, Sendable {
        case http
        case raw
        /// What stands for all routes that have no figures of their own.
        case other
    }
    public enum State: Equatable, Sendable {
        case served
        /// It has no session. For how long, and for how long it will still be held.
        case held(milliseconds: UInt64, leftMilliseconds: UInt64)
        /// Nobody has registered it any more; its last figures.
        case gone
    }

    public var listener: String
    /// Every host, every path: empty.
    public var host: String
    public var path: String
    public var kind: Kind
    public var state: State
    /// Those that take new streams.
    public var sessions: Int
    public var figures: RouteFigures
}

public struct SessionReport: Sendable {
    public enum State: String, Sendable {
        case live
        /// It accepts nothing of what it is given.
        case slow
        /// It has said GoAway.
        case draining
    }

    /// The reactor, the slot there and its generation: `0-17-3`.
    public var id: String
    /// What the service calls itself, or who it is.
    public var service: String
    public var peer: String
    public var listener: String
    public var host: String
    public var path: String
    public var kind: RouteReport.Kind
    public var state: State
    public var reactor: Int
    public var ageMilliseconds: UInt64
    /// A second ago at most.
    public var streams: UInt64
    public var roundTripMicroseconds: UInt64
}

public struct ReactorReport: Sendable {
    /// By `Counter.rawValue`.
    public var counts: [UInt64]
    public var cpuSeconds: Double

    public subscript(counter: Counter) -> UInt64 { counts[counter.rawValue] }
}
