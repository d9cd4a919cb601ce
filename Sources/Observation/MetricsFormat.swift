/// How metrics are written.
enum MetricsFormat: Equatable, Sendable {
    /// Prometheus' text format 0.0.4.
    case prometheus
    /// OpenMetrics 1.0.
    case openMetrics

    var contentType: String {
        switch self {
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// OpenMetrics for whoever asks for it, and does not like plain text more.
    /// - Parameter accept: values of the field `Accept` (RFC 9110 12.5.1).
    init(accept: [String]) {
        var plain = 0.0
        var open = 0.0
        for range in accept.flatMap({ $0.split(separator: ",") }).map(MediaRange.init) {
            switch range.type {
            case "application/openmetrics-text" where ["1.0.0", nil].contains(range.version):
                open = max(open, range.quality)
            case "text/plain": plain = max(plain, range.quality)
            default: break
            }
        }
        self = open > 0 && open >= plain ? .openMetrics : .prometheus
    }
}

private struct MediaRange {
    let type: String
    var version: String?
    /// 0: not wanted.
    var quality = 1.0

    init(_ text: Substring) {
        let parts = text.split(separator: ";", omittingEmptySubsequences: false).map { $0.trimmed.lowercased() }
        type = parts[0]
        for part in parts.dropFirst() {
            let value = part.drop { $0 != "=" }.dropFirst().trimmed
            switch part.prefix(while: { $0 != "=" }).trimmed {
            case "version": version = String(value.filter { $0 != "\"" })
            case "q": quality = Double(value).flatMap { (0...1).contains($0) ? $0 : nil } ?? 0
            default: break
            }
        }
    }
}

extension StringProtocol {
    fileprivate var trimmed: SubSequence {
        let text = drop { $0 == " " || $0 == "\t" }
        let end = text.lastIndex { $0 != " " && $0 != "\t" }
        return end.map { text[...$0] } ?? text.prefix(0)
    }
}
