internal import Control
internal import Memory
internal import NIOCore
internal import Proxy
internal import Registration

/// A report as JSON, for the page and for programs. Fields are only ever added.
enum StatusJSON {
    static let schema = 1

    static func bytes(_ report: Report) -> ByteBuffer {
        let ids = RouteIDs(report.routes)
        var writer = JSONWriter()
        writer.object { writer in
            writer.number("schema", schema)
            writer.number("time", report.time)
            writer.program(report)
            writer.bounds()
            writer.object("totals") { $0.figures(report.totals) }
            writer.array("routes", zip(ids.inOrder, report.routes)) { $0.route($1.0, $1.1) }
            writer.array("listeners", report.listeners) { $0.listener($1) }
            writer.array("sessions", report.sessions) { $0.session($1, route: ids.id(of: $1)) }
            writer.array("reactors", report.reactors) { $0.reactor($1) }
            writer.object("limits") { writer in
                writer.number("connections", report.limits.connections)
                writer.number("sessions", report.limits.sessions)
                writer.number("bufferBytes", report.limits.bufferBytes)
            }
            writer.number("connections", report.connections)
            writer.number("bufferBytes", report.blocksInUse * BlockPool.blockBytes)
        }
        return writer.buffer
    }
}

/// What tells routes apart, from one report to the next.
private struct RouteIDs {
    private struct Key: Hashable {
        // Paths that look alike are equal to Swift, and are different routes. Their hashes may be the same.
        static func == (left: Key, right: Key) -> Bool {
            left.listener == right.listener && left.host == right.host && left.kind == right.kind
                && left.path.utf8.elementsEqual(right.path.utf8)
        }

        let listener: String
        let host: String
        let path: String
        let kind: RouteReport.Kind

        /// As short as a label: every session repeats it, in every event.
        var text: String { LabelText.shown("\(listener)/\(host)\(path)") }
    }

    private var ids: [Key: String] = [:]
    private(set) var inOrder: [String] = []

    init(_ routes: [RouteReport]) {
        var unique = UniqueTexts()
        for route in routes {
            let key = Key(listener: route.listener, host: route.host, path: route.path, kind: route.kind)
            let id = unique.take { key.text + $0 }
            inOrder.append(id)
            ids[key] = ids[key] ?? id
        }
    }

    /// Of the session's route, which may be one of those without figures.
    func id(of session: SessionReport) -> String {
        let key = Key(listener: session.listener, host: session.host, path: session.path, kind: session.kind)
        return ids[key] ?? key.text
    }
}

extension JSONWriter {
    fileprivate mutating func program(_ report: Report) {
        object("program") { writer in
            writer.text("version", Version.text)
            writer.number("pid", Int(report.processID))
            writer.number("uptimeSeconds", report.uptimeSeconds)
            writer.flag("ready", !report.isDraining)
            writer.flag("draining", report.isDraining)
        }
    }

    fileprivate mutating func bounds() {
        object("bounds") { writer in
            for (name, histogram) in [("duration", RouteHistogram.durations), ("held", .heldTimes)] {
                writer.array(name, histogram.bounds) { $0.number(Double($1) / 1e6) }
            }
        }
    }

    fileprivate mutating func route(_ id: String, _ route: RouteReport) {
        object { writer in
            writer.text("id", id)
            writer.text("listener", route.listener)
            writer.text("host", route.host)
            writer.text("path", route.path)
            writer.text("kind", route.kind.rawValue)
            writer.state(route.state)
            writer.number("sessions", route.sessions)
            writer.figures(route.figures)
        }
    }

    private mutating func state(_ state: RouteReport.State) {
        let (name, held, left): (String, UInt64, UInt64) =
            switch state {
            case .served: ("served", 0, 0)
            case .held(let milliseconds, let leftMilliseconds): ("held", milliseconds, leftMilliseconds)
            case .gone: ("gone", 0, 0)
            }
        text("state", name)
        number("heldSeconds", Double(held) / 1e3)
        number("holdLeftSeconds", Double(left) / 1e3)
    }

    /// Of a route, or of all.
    fileprivate mutating func figures(_ figures: RouteFigures) {
        number("open", figures.openRequests)
        number("relays", figures.openRelays)
        number("waiting", figures.waiting)
        named("replies", NamedFigure.replies, figures)
        number("abandoned", figures[.abandoned])
        number("bytesIn", figures[.bytesIn])
        number("bytesOut", figures[.bytesOut])
        times("duration", .durations, figures)
        times("firstByte", .firstBytes, figures)
        times("heldTime", .heldTimes, figures)
        number("held", figures[.held])
        number("released", figures[.released])
        number("expired", figures[.expired])
        number("refused", figures[.turnedAway])
        named("sentAgain", NamedFigure.sentAgain, figures)
        named("failed", NamedFigure.failed, figures)
        number("clientGone", figures[.clientGone])
    }

    private mutating func named(_ name: String, _ list: [NamedFigure], _ figures: RouteFigures) {
        object(name) { writer in
            for figure in list { writer.number(figure.name, figures[figure.counter]) }
        }
    }

    private mutating func times(_ name: String, _ histogram: RouteHistogram, _ figures: RouteFigures) {
        object(name) { writer in
            writer.array("counts", figures[histogram]) { $0.number($1) }
            writer.number("sumSeconds", Double(figures[histogram.sum]) / 1e6)
        }
    }

    fileprivate mutating func listener(_ listener: ListenerReport) {
        object { writer in
            writer.text("address", listener.address)
            writer.flag("tls", listener.isTLS)
            writer.number("waiting", listener.waiting)
            writer.number("routes", listener.routes)
            writer.array("certificates", listener.certificates) { writer, certificate in
                writer.object { writer in
                    writer.array("names", certificate.names) { $0.text($1) }
                    writer.number("notAfter", Double(certificate.notAfter))
                }
            }
            writer.object("rejected") { writer in
                for (why, counter) in ListenerCounter.rejections where listener[counter] > 0 {
                    writer.number(why, listener[counter])
                }
            }
        }
    }

    fileprivate mutating func session(_ session: SessionReport, route: String) {
        object { writer in
            writer.text("id", session.id)
            writer.text("service", LabelText.shown(session.service))
            writer.text("peer", session.peer)
            writer.text("route", route)
            writer.text("state", session.state.rawValue)
            writer.number("reactor", session.reactor)
            writer.number("streams", session.streams)
            writer.number("roundTripSeconds", Double(session.roundTripMicroseconds) / 1e6)
            writer.number("sinceSeconds", Double(session.ageMilliseconds) / 1e3)
        }
    }

    fileprivate mutating func reactor(_ reactor: ReactorReport) {
        object { writer in
            writer.number("turns", reactor[.turns])
            writer.number("cpuSeconds", reactor.cpuSeconds)
            writer.number("connections", reactor[.connections])
            writer.number("accepted", reactor[.accepted])
            writer.number("requests", reactor[.requests])
            writer.number("sessions", reactor[.sessions])
            writer.number("streams", reactor[.streams])
            writer.number("waiting", reactor[.waiting])
            writer.number("handshakes", reactor[.handshakes])
            writer.number("handshakesFailed", reactor[.handshakesFailed])
            writer.number("pausesAtLimit", reactor[.pausesAtLimit])
        }
    }
}
