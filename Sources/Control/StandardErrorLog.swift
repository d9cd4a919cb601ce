public import Logging

/// Where the program speaks to its operator.
public enum StandardError {
    /// Writes a line, whole.
    public static func write(_ line: String) {
        KernelText.write(line, to: 2)
    }
}

/// Writes each entry as one line to standard error, with one call: time, level, message.
public struct StandardErrorLog: LogHandler {
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]

    public init(level: Logger.Level) {
        logLevel = level
    }

    public func log(event: LogEvent) {
        StandardError.write("\(KernelText.timestamp) \(event.level) \(event.message)")
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
}
