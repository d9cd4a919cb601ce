internal import Control
internal import Proxy
internal import Registration

// All families. Their names are kept: dashboards and alerts are made of them.

extension Family {
    static let process: [Family] = [
        whole("build_info", .gauge, "The release, as a label.") { _, writer in
            writer.sample("version=\"\(Version.text)\"", 1 as UInt64)
        },
        one("ready", .gauge, "1 while new clients are served.") { $0.isDraining ? 0 : 1 },
        one("draining", .gauge, "1 while the proxy stops.") { $0.isDraining ? 1 : 0 },
        whole("process_cpu_seconds", .counter, "Processor time of the process.", prefix: "") {
            $1.sample("", $0.process.cpuSeconds)
        },
        whole("process_resident_memory_bytes", .gauge, "Memory of the process that is there.", prefix: "") {
            $1.sample("", $0.process.residentBytes)
        },
        whole("process_open_fds", .gauge, "Descriptors that are open.", prefix: "") {
            $1.sample("", $0.process.descriptors)
        },
        whole("process_max_fds", .gauge, "Descriptors that may be open.", prefix: "") {
            $1.sample("", $0.process.descriptorLimit)
        },
        whole("process_start_time_seconds", .gauge, "When the process was started, since 1970.", prefix: "") {
            $1.sample("", $0.process.start)
        },
    ]

    static let ofRoutes: [Family] = [
        route(
            "requests", "Requests that have got a reply, by the class of its status.", by: "code", NamedFigure.replies),
        route("requests_open", .gauge, "Requests under way, those that wait included.") { $0.figures.openRequests },
        route("requests_abandoned", "Requests that have ended without a whole reply.", .abandoned),
        route("request_bytes", "What was passed on to services.", .bytesIn),
        route("response_bytes", "What clients were sent.", .bytesOut),
        each({ $0.report.routes }, "route_connections", .gauge, "Raw and switched connections that are open.") {
            $3.sample($2.routes[$1] + ",kind=\"relay\"", $0.figures.openRelays)
        },
        route("relays", "Raw connections, and requests that became one by 101 or CONNECT.", .relays),
        route("route_sessions", .gauge, "Sessions that take new streams; 0 while the route is held.") {
            UInt64(clamping: $0.sessions)
        },
        route("held", "Clients that had to wait for a service.", .held),
        route("released", "Clients that had to wait and were served.", .released),
        route("expired", "Clients that had to wait and left unserved.", .expired),
        route("refused", "Clients that were turned away at once.", .turnedAway),
        route("waiting", .gauge, "Clients that wait for a service.") { $0.figures.waiting },
        route("repeated", "Exchanges that were sent again, by how they were lost.", by: "why", NamedFigure.sentAgain),
        route("failed", "Exchanges that have failed, by why.", by: "why", NamedFigure.failed),
        route("client_aborts", "Clients that left in the middle of something.", .clientGone),
    ]

    static let times: [Family] = [
        times(
            "request_duration_seconds",
            "From the first byte of a request to the last one of its reply, to within a turn of the reactor.",
            .durations),
        times(
            "first_byte_seconds", "From when a service was given a request to the head of its reply.", .firstBytes),
        times("hold_duration_seconds", "How long clients waited for a service.", .heldTimes),
    ]

    static let totals: [Family] = [
        total(
            "requests", "Requests that have got a reply, by the class of its status.", by: "code", NamedFigure.replies),
        total("request_bytes", "What was passed on to services.", .bytesIn),
        total("response_bytes", "What clients were sent.", .bytesOut),
        total("held", "Clients that had to wait for a service.", .held),
        total("released", "Clients that had to wait and were served.", .released),
        total("expired", "Clients that had to wait and left unserved.", .expired),
        total("refused", "Clients that were turned away at once.", .turnedAway),
        total("repeated", "Exchanges that were sent again, by how they were lost.", by: "why", NamedFigure.sentAgain),
        total("failed", "Exchanges that have failed, by why.", by: "why", NamedFigure.failed),
        total("client_aborts", "Clients that left in the middle of something.", .clientGone),
    ]

    static let clients: [Family] = [
        each({ $0.report.listeners }, "rejected", .counter, "Clients that were turned away, by why.") {
            for (why, counter) in ListenerCounter.rejections {
                $3.sample("\($2.listeners[$1]),why=\"\(why)\"", $0[counter])
            }
        },
        reactor("connections", .gauge, "Clients that are connected.", .connections),
        reactor("connections_accepted", .counter, "Clients that have come.", .accepted),
        one("connections_limit", .gauge, "Clients at once at most, of all reactors.") {
            UInt64(clamping: $0.limits.connections)
        },
    ]

    static let reactors: [Family] = [
        reactor("reactor_turns", .counter, "How often the reactor has looked for something to do.", .turns),
        each({ $0.report.reactors }, "reactor_cpu_seconds", .counter, "Processor time of the reactor.") {
            $3.sample("reactor=\"\($1)\"", $0.cpuSeconds)
        },
    ]

    static let sessions: [Family] = [
        reactor("sessions", .gauge, "Sessions of services.", .sessions),
        one("sessions_limit", .gauge, "Sessions at once at most, of all reactors.") {
            UInt64(clamping: $0.limits.sessions)
        },
        reactor("streams", .gauge, "Streams of all sessions.", .streams),
        each(
            { $0.shownSessions }, "session_round_trip_seconds", .gauge,
            "How long the session's last ping took. Left out where there are more than \(Facts.mostSessions) sessions."
        ) { $3.sample($2.sessions[$1], Double($0.roundTripMicroseconds) / 1e6) },
        each(
            { $0.shownSessions }, "session_streams", .gauge,
            "Streams of the session. Left out where there are more than \(Facts.mostSessions) sessions."
        ) { $3.sample($2.sessions[$1], $0.streams) },
        whole("sessions_lost", .counter, "Sessions that have ended, by why.") { facts, writer in
            for end in SessionEnd.all {
                writer.sample("why=\"\(end.name)\"", facts.report.sessionEnds[end, default: 0])
            }
        },
        whole("registrations", .counter, "Registrations, by what became of them.") { facts, writer in
            for result in RegistrationResult.allCases {
                writer.sample("result=\"\(result.rawValue)\"", facts.report.registrations[result, default: 0])
            }
        },
    ]

    static let handshakes: [Family] = [
        whole("tls_handshakes", .counter, "Handshakes that are done, and whether a ticket made them short.") {
            let resumed = min($0.report[.resumed], $0.report[.handshakes])
            $1.sample("resumed=\"false\"", $0.report[.handshakes] - resumed)
            $1.sample("resumed=\"true\"", resumed)
        },
        whole("tls_handshakes_failed", .counter, "Handshakes that have failed, by why.") { facts, writer in
            for (why, counter) in Counter.failedHandshakes { writer.sample("why=\"\(why)\"", facts.report[counter]) }
        },
        sum("tls_handshakes_open", .gauge, "Handshakes under way.", .handshaking),
        each(
            { $0.report.listeners }, "certificate_not_after_seconds", .gauge,
            "When the first certificate for the name ends, since 1970. \(Facts.mostNames) names of a listener at most."
        ) { listener, place, facts, writer in
            for (name, end) in listener.namesWithEnds {
                writer.sample("\(facts.listeners[place]),name=\"\(name)\"", Double(end))
            }
        },
    ]

    static let memory: [Family] = [
        one("buffer_blocks", .gauge, "Blocks of buffers in use.") { UInt64(clamping: $0.blocksInUse) },
        sum("kept_blocks", .gauge, "Of those, what is kept to be sent again.", .keptBlocks),
        one("buffer_limit_bytes", .gauge, "What may wait before services have to stop sending.") {
            UInt64(clamping: $0.limits.bufferBytes)
        },
        sum("pipes", .gauge, "Pipes in use, through which bulk goes.", .pipesInUse),
        one("pipes_limit", .gauge, "Pipes of all reactors.") { UInt64(clamping: $0.limits.pipes * $0.limits.reactors) },
    ]

    static let rest: [Family] = [
        sum("connections_reset", .counter, "Clients that were reset because the buffers were full.", .resets),
        sum("receives_starved", .counter, "Receives that found no buffer.", .starved),
        sum("pipes_missed", .counter, "How often there was no pipe for bulk, which was copied then.", .pipesMissed),
        sum("completion_overflows", .counter, "How often a ring had more to say than fitted.", .overflows),
        sum("frames_cut", .counter, "Sessions that ended within a frame.", .framesCut),
        sum("handovers", .counter, "Clients that went to another reactor.", .handedOver),
        whole("spliced_bytes", .counter, "What went through pipes, by where to.") {
            $1.sample("to=\"client\"", $0.report[.splicedToClients])
            $1.sample("to=\"service\"", $0.report[.splicedToSessions])
        },
        one("log_lines_dropped", .counter, "Lines of the log that nobody took.") { $0.linesLeftOut },
    ]
}

extension ListenerReport {
    /// Names as values of labels, each once, with the end of the certificate that ends first.
    fileprivate var namesWithEnds: [(String, Int64)] {
        var ends: [String: Int64] = [:]
        for certificate in certificates {
            for name in certificate.names.prefix(Facts.mostNames) {
                let shown = LabelText.quoted(LabelText.shown(name))
                ends[shown] = min(ends[shown] ?? .max, certificate.notAfter)
            }
        }
        return ends.sorted { $0.key < $1.key }.prefix(Facts.mostNames).map { ($0.key, $0.value) }
    }
}
