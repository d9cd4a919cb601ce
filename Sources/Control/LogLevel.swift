internal import Logging

/// How much is logged: entries of this level and of those behind it.
public enum LogLevel: String, CaseIterable, Sendable {
    case trace
    case debug
    case info
    case notice
    case warning
    case error
    case critical

    /// - Throws: a sentence that names the levels.
    public init(parsing text: String) throws(UnusableValue) {
        guard let level = LogLevel(rawValue: text) else {
            let names = Self.allCases.map { $0.rawValue }.joined(separator: ", ")
            throw UnusableValue("the levels are \(names)")
        }
        self = level
    }

    /// The same level as the logging library names it.
    var level: Logger.Level {
        switch self {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        case .critical: .critical
        }
    }
}
