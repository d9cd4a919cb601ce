public import Logging
public import Proxy
internal import Routing

/// Everything that the flags say. Times in milliseconds, sizes in bytes; one place for the defaults that are not the
/// data plane's.
public struct Settings: Sendable {
    /// Where services register.
    public var controlAddresses = [ControlAddress.standard]
    /// Nil: one for every processor that the process may run on.
    public var reactors: Int?
    /// Whether each reactor stays on a processor of its own.
    public var pinsReactors = false
    /// Clients at once. Nil: what the limit on descriptors leaves.
    public var maximumConnections: Int?
    /// Sessions at once. Nil: 4096, or an eighth of the descriptors if that is less.
    public var maximumSessions: Int?
    /// Registrations under way at once. Nil: 1024, or a sixteenth of the descriptors if that is less.
    public var maximumPending: Int?
    /// Clients that wait in the kernel to be accepted, for each reactor's socket of a listener.
    public var backlog = 4096
    /// How long after the start a host and path that nobody has registered waits instead of being refused.
    public var startGrace: UInt64 = 10_000
    /// How long requests under way may take to end after the first signal.
    public var drain: UInt64 = 10_000
    public var logLevel = Logger.Level.info
    /// What bounds the reactors. `reactors`, `connections`, `sessions`, `listeners` and `graceEnd` are set at start.
    public var dataPlane = DataPlaneLimits()

    public init() {}

    /// Clients at once at most: beyond it, the records of a reactor would take an address space that not every machine
    /// grants.
    public static let connectionCeiling = 1_000_000

    /// - Throws: a sentence that names the first flag whose value is out of its range, and the range.
    public func check() throws(UnusableValue) {
        guard !controlAddresses.isEmpty else { throw UnusableValue("--bind is needed once at least.") }
        try Self.check("--reactors", reactors ?? 1, 1...(SessionHandle.reactorLimit - 1))
        try Self.check("--max-connections", maximumConnections ?? 1, 1...Self.connectionCeiling)
        try Self.check("--max-sessions", maximumSessions ?? 1, 1...65_536)
        try Self.check("--max-pending", maximumPending ?? 1, 1...65_536)
        try Self.check("--backlog", backlog, 1...65_535)
        try Self.check("--hold-limit", dataPlane.holdLimit, 0...Self.connectionCeiling)
        try Self.checkPower("--ring-entries", dataPlane.ringEntries, 64...32_768)
        try Self.checkPower("--receive-buffers", dataPlane.receiveBuffers, 8...32_768)
        try Self.checkSize("--receive-buffer-size", dataPlane.receiveBufferBytes, 1 << 10...1 << 20)
        try Self.checkSize("--head-limit", dataPlane.headBytes, 1 << 10...1 << 20)
        try Self.checkSize("--buffer-limit", dataPlane.bufferBytes, 1 << 20...1 << 40)
        for (flag, milliseconds) in [
            ("--head-timeout", dataPlane.headTimeout), ("--idle-timeout", dataPlane.idleTimeout),
            ("--stall-timeout", dataPlane.stallTimeout),
        ] where milliseconds == 0 {
            throw UnusableValue("\(flag) must be longer than nothing; give 30s, for example.")
        }
    }

    private static func check(_ flag: String, _ value: Int, _ range: ClosedRange<Int>) throws(UnusableValue) {
        guard range.contains(value) else {
            throw UnusableValue("\(flag) is a number from \(range.lowerBound) to \(range.upperBound), not \(value).")
        }
    }

    private static func checkPower(_ flag: String, _ value: Int, _ range: ClosedRange<Int>) throws(UnusableValue) {
        guard range.contains(value), value & (value - 1) == 0 else {
            throw UnusableValue(
                "\(flag) is a power of two from \(range.lowerBound) to \(range.upperBound), not \(value).")
        }
    }

    private static func checkSize(_ flag: String, _ value: Int, _ range: ClosedRange<Int>) throws(UnusableValue) {
        guard range.contains(value) else {
            let (lowest, highest) = (ByteCount(bytes: range.lowerBound), ByteCount(bytes: range.upperBound))
            throw UnusableValue("\(flag) is a size from \(lowest) to \(highest), not \(ByteCount(bytes: value)).")
        }
    }
}
