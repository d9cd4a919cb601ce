internal import NIOCore
internal import NIOHTTP1

/// Why a request gets no answer: a status and a sentence.
enum Refusal: Error, Equatable {
    case malformed
    case hostMissing
    case hostRepeated
    case hostForeign
    case method
    case path
    case headTooLarge
    case headTooLate
    /// The control thread has not answered, or has been asked too much.
    case noReport
    case tooManyStreams

    var status: HTTPResponseStatus {
        switch self {
        case .malformed, .hostMissing, .hostRepeated: .badRequest
        case .hostForeign: .misdirectedRequest
        case .method: .methodNotAllowed
        case .path: .notFound
        case .headTooLarge: .requestHeaderFieldsTooLarge
        case .headTooLate: .requestTimeout
        case .noReport, .tooManyStreams: .serviceUnavailable
        }
    }

    var sentence: String {
        switch self {
        case .malformed: "This is no HTTP request."
        case .hostMissing: "A request names its host."
        case .hostRepeated: "A request names one host."
        case .hostForeign:
            "This host is not known here. Use an IP address or localhost, or name the host by --metrics-host."
        case .method: "This page can be read and not changed: use GET."
        case .path: "There are /, /metrics, /healthz, /readyz, /status.json and /events."
        case .headTooLarge: "The head of a request may have \(Bounds.headBytes) bytes."
        case .headTooLate: "The head of a request has to come within \(Bounds.head.nanoseconds / 1_000_000_000) s."
        case .noReport: "The proxy does not answer."
        case .tooManyStreams: "There are \(Bounds.streams) streams of events, and there may be no more."
        }
    }

    /// What the reply has beside what all have.
    var headers: HTTPHeaders {
        switch self {
        case .method: ["allow": "GET, HEAD"]
        case .noReport, .tooManyStreams: ["retry-after": "5"]
        default: [:]
        }
    }

    /// Whether what comes next cannot be believed, or is not wanted.
    var closes: Bool {
        switch self {
        case .path, .noReport, .tooManyStreams: false
        case .malformed, .hostMissing, .hostRepeated, .hostForeign, .method, .headTooLarge, .headTooLate: true
        }
    }
}
