internal import Proxy

// What figures are called in metrics and in the status. A switch has no default: a new case is not compiled without a
// name. Once given, a name stays.

/// A figure of routes, with the value of its label.
struct NamedFigure: Sendable {
    let name: String
    let counter: RouteCounter

    /// Requests by the class of their reply.
    static let replies = [
        NamedFigure(name: "1xx", counter: .switched), NamedFigure(name: "2xx", counter: .success),
        NamedFigure(name: "3xx", counter: .redirection), NamedFigure(name: "4xx", counter: .clientError),
        NamedFigure(name: "5xx", counter: .serverError),
    ]

    /// Exchanges that were sent again, by how they were lost.
    static let sentAgain = [
        NamedFigure(name: "ended", counter: .sentAgainEnded), NamedFigure(name: "refused", counter: .sentAgainRefused),
        NamedFigure(name: "reset", counter: .sentAgainReset),
        NamedFigure(name: "taken_back", counter: .sentAgainTakenBack),
    ]

    /// What has failed, by why.
    static let failed = [
        NamedFigure(name: "may_have_run", counter: .failedMayHaveRun),
        NamedFigure(name: "not_kept", counter: .failedNotKept), NamedFigure(name: "spent", counter: .failedSpent),
        NamedFigure(name: "broken_reply", counter: .failedBrokenReply),
        NamedFigure(name: "cut", counter: .failedCut), NamedFigure(name: "timeout", counter: .failedTimeout),
        NamedFigure(name: "no_room", counter: .failedNoRoom),
    ]
}

extension ListenerCounter {
    /// Why clients were turned away. Nil: they were not, or it is among the figures of routes.
    var rejection: String? {
        switch self {
        case .held, .released, .expired, .refused, .sentAgain, .takenBack: nil
        case .failedMayHaveRun, .failedNotKept, .failedSpent, .failedBroken, .failedTooLarge, .failedTooManyFields,
            .failedNotHTTP, .failedBadFields, .failedBadFraming, .failedUnaskedSwitch, .failedNoMemory, .failedNoReply,
            .failedBodyNotTaken:
            nil
        case .cut, .cutBrokenChunks, .cutBadRequest, .cutBodyNotTaken, .cutIdle, .cutDrained: nil
        case .failures, .answeredOptions, .clientGone, .clientLeftWaiting, .endedIdle, .endedSilent, .endedByDrain,
            .endedForOthers, .handshakeLeft, .parked:
            nil
        case .refusedFirstLine: "bad_first_line"
        case .refusedField: "bad_field"
        case .refusedHost: "bad_host"
        case .refusedLength: "bad_length"
        case .refusedPath: "bad_path"
        case .refusedChunks: "bad_chunks"
        case .refusedPlain: "plain_to_tls"
        case .refusedHandshake: "tls_to_plain"
        case .refusedUnrouted: "no_route"
        case .refusedTrace: "trace"
        case .refusedLateHead: "head_timeout"
        case .refusedLateBody: "body_timeout"
        case .refusedLongTarget: "long_target"
        case .refusedLargeHead: "large_head"
        case .refusedManyFields: "many_fields"
        case .refusedMethod: "method"
        case .refusedCoding: "coding"
        case .refusedVersion: "version"
        case .refusedLoop: "loop"
        case .refusedHoldOver: "hold_over"
        case .refusedHoldLimit: "hold_limit"
        case .refusedHoldBytes: "hold_bytes"
        case .refusedDraining: "draining"
        case .refusedNoRoom: "no_room"
        case .closedUnrouted: "raw_no_route"
        case .closedHoldOver: "raw_hold_over"
        case .closedHoldLimit: "raw_hold_limit"
        case .closedHoldBytes: "raw_hold_bytes"
        case .closedDraining: "raw_draining"
        case .closedIdle: "relay_idle"
        case .closedBadRecords: "bad_records"
        case .resetNoRoom: "connection_no_room"
        case .resetQueueFull: "queue_full"
        case .resetStalledClient: "stalled_client"
        case .resetStalledRelay: "stalled_relay"
        case .resetOverLimit: "over_limit"
        case .resetNoMemory: "no_memory"
        case .handshakeNoVersion: "tls_version"
        case .handshakeNoSuite: "tls_suite"
        case .handshakeNoProtocol: "tls_protocol"
        case .handshakeGivenUp: "tls_given_up"
        case .handshakeNoTLS: "tls_no_tls"
        case .handshakeBroken: "tls_broken"
        case .handshakeLate: "tls_too_slow"
        case .handshakeCrowded: "tls_too_many"
        case .handshakeNoMemory: "tls_no_memory"
        case .handshakeNoCertificate: "tls_no_certificate"
        case .handshakeDrained: "tls_draining"
        }
    }

    /// All that have a name, with it.
    static let rejections = allCases.compactMap { counter in counter.rejection.map { (why: $0, counter: counter) } }
}

extension Counter {
    /// Handshakes that failed, by why.
    static let failedHandshakes: [(why: String, counter: Counter)] = [
        ("version", .handshakesWithoutVersion), ("suite", .handshakesWithoutSuite),
        ("protocol", .handshakesWithoutProtocol), ("given_up", .handshakesGivenUp), ("no_tls", .handshakesOfNoTLS),
        ("too_slow", .handshakesExpired), ("left", .handshakesLeft), ("broken", .handshakesBroken),
        ("too_many", .handshakesCrowded), ("no_memory", .handshakesWithoutMemory),
        ("no_certificate", .handshakesWithoutCertificate), ("draining", .handshakesDrained),
    ]
}

extension SessionEnd {
    /// A byte can be each of them.
    static let all = (UInt8.min...UInt8.max).compactMap { SessionEnd(rawValue: $0) }

    var name: String {
        switch self {
        case .closed: "closed"
        case .reset: "reset"
        case .breach: "breach"
        case .silent: "silent"
        case .drained: "drained"
        case .noMemory: "no_memory"
        case .stopped: "stopped"
        case .unresponsive: "unresponsive"
        }
    }
}
