internal import NIOHTTP1

/// What is asked for.
enum Subject: Equatable, Sendable {
    case page
    case metrics(MetricsFormat)
    case health
    case readiness
    case status
    case events
}

/// A request that is answered in one of the ways that there are.
struct Request: Equatable {
    let subject: Subject
    let manner: Manner
}

/// How a request wants its reply.
struct Manner: Equatable {
    let version: HTTPVersion
    /// HEAD: the reply has no body.
    let isHead: Bool
    /// The connection ends with the reply.
    var closes: Bool

    /// Of what is no request.
    static let none = Manner(version: .http1_1, isHead: false, closes: true)

    /// HTTP/1.0 ends with each reply. So does a request that brings more than its head: nobody takes it. The same with
    /// one that asks for another protocol: the decoder takes what follows for that.
    init(_ head: HTTPRequestHead) {
        let brings = ["content-length", "transfer-encoding", "upgrade"].contains { name in
            head.headers[name].contains { $0 != "0" }
        }
        version = head.version.minor == 0 ? .http1_0 : .http1_1
        isHead = head.method == .HEAD
        closes = version == .http1_0 || !head.isKeepAlive || brings
    }

    private init(version: HTTPVersion, isHead: Bool, closes: Bool) {
        self.version = version
        self.isHead = isHead
        self.closes = closes
    }
}

/// Judges heads of requests. No socket, no state.
struct Judge: Sendable {
    let hosts: HostRule

    func judge(_ head: HTTPRequestHead) -> Result<Subject, Refusal> {
        let hosts = head.headers["host"]
        switch (hosts.count, head.version.minor) {
        // Too old for a browser, which would be the danger.
        case (0, 0): break
        case (0, _): return .failure(.hostMissing)
        case (1, _):
            guard self.hosts.allows(hosts[0]) else { return .failure(.hostForeign) }
        default: return .failure(.hostRepeated)
        }
        guard head.method == .GET || head.method == .HEAD else { return .failure(.method) }
        return subject(head).map { .success($0) } ?? .failure(.path)
    }

    private func subject(_ head: HTTPRequestHead) -> Subject? {
        switch head.uri.prefix(while: { $0 != "?" }) {
        case "/": .page
        case "/metrics": .metrics(MetricsFormat(accept: head.headers["accept"]))
        case "/healthz": .health
        case "/readyz": .readiness
        case "/status.json": .status
        case "/events": .events
        default: nil
        }
    }
}
