internal import Control
internal import NIOCore
internal import Proxy

/// A report as metrics, made piece by piece: all of it would be megabytes for each client that scrapes.
struct MetricsText {
    private let facts: Facts
    private let format: MetricsFormat
    private var family = 0
    private var item = 0
    private var writer: SampleWriter
    private var isOver = false

    init(_ report: Report, format: MetricsFormat, process: ProcessFigures = .now) {
        facts = Facts(report, process: process)
        self.format = format
        writer = SampleWriter(format: format)
    }

    /// - Parameter atLeast: bytes, but for the last piece. It has one item more at most: a histogram, or a listener's
    ///   samples.
    /// - Returns: nil behind the last piece.
    mutating func next(atLeast bytes: Int) -> ByteBuffer? {
        guard !isOver else { return nil }
        writer.buffer.reserveCapacity(bytes + bytes / 4)
        while writer.buffer.readableBytes < bytes, step() {}
        // Whoever takes it is the only one that has it.
        defer { writer.buffer = ByteBuffer() }
        return writer.buffer
    }

    private mutating func step() -> Bool {
        guard family < Family.all.count else {
            writer.end()
            isOver = true
            return false
        }
        let current = Family.all[family]
        if item == 0 { writer.begin(current) }
        if item < current.items(facts) { current.write(facts, item, &writer) }
        item += 1
        if item >= current.items(facts) { (family, item) = (family + 1, 0) }
        return true
    }
}

/// What families are written of: a report, the process, and labels that are the same in all families.
struct Facts: Sendable {
    /// Beyond it, sessions have no metrics of their own.
    static let mostSessions = 256
    /// Names of a listener's certificates at most.
    static let mostNames = 64

    let report: Report
    let process: ProcessFigures
    /// Those that have metrics of their own: all, or none.
    let shownSessions: [SessionReport]
    // Labels, by their places in the lists.
    let routes: [String]
    let listeners: [String]
    let sessions: [String]

    init(_ report: Report, process: ProcessFigures) {
        self.report = report
        self.process = process
        var unique = UniqueTexts()
        routes = report.routes.map { route in
            let labels = "\(label("listener", route.listener)),\(label("host", route.host)),path=\""
            let path = LabelText.quoted(LabelText.shown(route.path))
            return unique.take { labels + path + $0 + "\"" }
        }
        unique = UniqueTexts()
        listeners = report.listeners.map { listener in
            let address = LabelText.quoted(LabelText.shown(listener.address))
            return unique.take { "listener=\"\(address)\($0)\"" }
        }
        unique = UniqueTexts()
        shownSessions = report.sessions.count <= Self.mostSessions ? report.sessions : []
        sessions = shownSessions.map { session in
            let service = label("service", session.service)
            let id = LabelText.quoted(LabelText.shown(session.id))
            return unique.take { "\(service),session=\"\(id)\($0)\"" }
        }
    }
}

/// A label whose value comes from somewhere else.
func label(_ name: String, _ value: String) -> String {
    "\(name)=\"\(LabelText.quoted(LabelText.shown(value)))\""
}
