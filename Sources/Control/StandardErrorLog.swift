internal import Logging

/// Where the program speaks to its operator.
public enum StandardError {
    /// Writes a line, whole.
    public static func write(_ line: String) {
        KernelText.write(line, to: 2)
    }
}

/// Writes each entry as one line to standard error: time, level, message. Whatever services and strangers can cause has
/// a rate, by the subject that the entry's metadata name. Notices have none: they answer the operator.
struct StandardErrorLog: LogHandler {
    let writer = LogWriter()
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(level: Logger.Level) {
        logLevel = level
    }

    func log(event: LogEvent) {
        let line = "\(event.message)"
        writer.write(line, event.level, about: event.level == .notice ? nil : Self.subject(of: event, line))
    }

    private static func subject(of event: LogEvent, _ line: String) -> LogSubject {
        guard case .stringConvertible(let value) = event.metadata?[Logger.Metadata.subject],
            let subject = value as? LogSubject
        else { return LogSubject(ofLine: line) }
        return subject
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
}

extension Logger.Metadata {
    fileprivate static let subject = "subject"

    /// What a line is about: it shares a rate with others about the same.
    static func about(_ subject: LogSubject) -> Logger.Metadata { [Self.subject: .stringConvertible(subject)] }

    static func about(_ event: String, _ route: RouteName) -> Logger.Metadata { about(route.subject(event)) }
}
