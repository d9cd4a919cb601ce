internal import Dispatch
internal import Glibc
internal import Logging
internal import NIOConcurrencyHelpers

/// Brings the log to standard error on a thread of its own: whoever reads it slowly, or not at all, keeps no client
/// waiting. What finds no place in the queue is counted, and told with the next line.
struct Log: LogHandler {
    private struct Queue {
        var count = 0
        var lost = 0
    }

    private static let longestQueue = 1_000
    private static let queue = NIOLockedValueBox(Queue())
    private static let writer = DispatchQueue(label: "log")
    private static let written = DispatchGroup()

    let label: String
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]

    init(label: String, level: Logger.Level) {
        self.label = label
        logLevel = level
    }

    func log(event: LogEvent) {
        let details = metadata.merging(event.metadata ?? [:]) { $1 }
        let text = details.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        Self.append("\(event.level) \(label):\(text) [\(event.source)] \(event.message)")
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    private static func append(_ line: String) {
        let line = "\(timestamp()) \(line)\n"
        let hasPlace = queue.withLockedValue { queue in
            let hasPlace = queue.count < longestQueue
            if hasPlace { queue.count += 1 } else { queue.lost += 1 }
            return hasPlace
        }
        guard hasPlace else { return }
        writer.async(group: written) {
            let lost = queue.withLockedValue { queue in
                defer { queue.lost = 0 }
                queue.count -= 1
                return queue.lost
            }
            write(line)
            if lost > 0 { write("\(timestamp()) warning socketmaster-publish: \(lost) lines left out\n") }
        }
    }

    private static func write(_ line: String) {
        var left = Array(line.utf8)[...]
        while !left.isEmpty {
            let count = unsafe left.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
            if count < 0, errno == EAGAIN {
                var descriptor = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&descriptor, 1, -1)
                continue
            }
            // A full disk, or nobody there to read it.
            guard count > 0 || errno == EINTR else { return }
            left = left.dropFirst(max(0, count))
        }
    }

    /// Before the end: what has been said is written, unless nobody reads it.
    static func flush() { _ = written.wait(timeout: .now() + .milliseconds(200)) }

    /// In UTC, as the proxy's.
    private static func timestamp() -> String {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        var parts = unsafe tm()
        unsafe gmtime_r(&now.tv_sec, &parts)
        func digits(_ value: Int32, _ count: Int = 2) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let date = unsafe "\(parts.tm_year + 1900)-\(digits(parts.tm_mon + 1))-\(digits(parts.tm_mday))"
        let time = unsafe "\(digits(parts.tm_hour)):\(digits(parts.tm_min)):\(digits(parts.tm_sec))"
        return "\(date)T\(time).\(digits(Int32(now.tv_nsec / 1_000_000), 3))Z"
    }
}
