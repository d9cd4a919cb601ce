internal import Control
internal import NIOCore
internal import NIOHTTP1

/// A reply, but for how it is framed.
struct Reply {
    enum Body {
        case bytes(ByteBuffer)
        /// Made piece by piece, as the client takes them.
        case metrics(MetricsText)
        /// Whatever comes, for as long as the client likes.
        case events
    }

    let status: HTTPResponseStatus
    let type: String
    var body: Body
    var headers: HTTPHeaders = [:]

    static func text(_ status: HTTPResponseStatus, _ sentence: String, headers: HTTPHeaders = [:]) -> Reply {
        Reply(
            status: status, type: "text/plain; charset=utf-8", body: .bytes(ByteBuffer(string: sentence + "\n")),
            headers: headers)
    }

    static func refusal(_ refusal: Refusal) -> Reply {
        text(refusal.status, refusal.sentence, headers: refusal.headers)
    }

    static func page(_ page: Page) -> Reply {
        Reply(
            status: .ok, type: "text/html; charset=utf-8", body: .bytes(page.html),
            headers: ["content-security-policy": page.policy])
    }

    static var events: Reply { Reply(status: .ok, type: "text/event-stream; charset=utf-8", body: .events) }

    static func metrics(_ report: Report, _ format: MetricsFormat) -> Reply {
        Reply(status: .ok, type: format.contentType, body: .metrics(MetricsText(report, format: format)))
    }

    static func status(_ report: Report) -> Reply {
        Reply(status: .ok, type: "application/json", body: .bytes(StatusJSON.bytes(report)))
    }

    static func health(_ report: Report) -> Reply {
        report.isAlive
            ? text(.ok, "ok")
            : text(.serviceUnavailable, "A reactor has not taken a turn for more than five seconds.")
    }

    static func readiness(_ report: Report) -> Reply {
        report.isDraining ? text(.serviceUnavailable, "The proxy stops, and takes no new clients.") : text(.ok, "ok")
    }

    /// The head as it is sent.
    func head(for manner: Manner) -> HTTPResponseHead {
        var fields: HTTPHeaders = [
            "content-type": type,
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "same-origin",
        ]
        fields.add(contentsOf: headers)
        switch body {
        case .bytes(let bytes): fields.add(name: "content-length", value: "\(bytes.readableBytes)")
        case .metrics, .events:
            // To HTTP/1.0 the end of the connection says that all is said.
            if manner.version == .http1_1, !manner.isHead { fields.add(name: "transfer-encoding", value: "chunked") }
        }
        if manner.closes { fields.add(name: "connection", value: "close") }
        return HTTPResponseHead(version: manner.version, status: status, headers: fields)
    }
}
