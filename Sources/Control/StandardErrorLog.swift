internal import CKernel
internal import Logging
internal import Synchronization

/// Where the program speaks to its operator.
public enum StandardError {
    /// Writes a line, whole.
    public static func write(_ line: String) {
        KernelText.write(line, to: 2)
    }
}

/// Writes each entry as one line to standard error, with one call: time, level, message. Services must not have to wait
/// for somebody who does not read the log: a line that would wait is left out, and the next one says so.
struct StandardErrorLog: LogHandler {
    private static let leftOut = Atomic(0)

    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(level: Logger.Level) {
        logLevel = level
    }

    func log(event: LogEvent) {
        guard ck_is_writable(2) else {
            Self.leftOut.add(1, ordering: .relaxed)
            return
        }
        let count = Self.leftOut.exchange(0, ordering: .relaxed)
        let note = count > 0 ? "\(KernelText.timestamp) warning \(counted(count, "line")) left out, nobody read\n" : ""
        StandardError.write("\(note)\(KernelText.timestamp) \(event.level) \(event.message)")
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
}
