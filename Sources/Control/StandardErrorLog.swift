internal import Logging

/// Where the program speaks to its operator.
public enum StandardError {
    /// Writes a line, whole.
    public static func write(_ line: String) {
        KernelText.write(line, to: 2)
    }
}

/// Writes each entry as one line to standard error, with one call: time, level, message.
struct StandardErrorLog: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(level: Logger.Level) {
        logLevel = level
    }

    func log(event: LogEvent) {
        StandardError.write("\(KernelText.timestamp) \(event.level) \(event.message)")
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
}
