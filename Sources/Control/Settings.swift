internal import Exchanges
import Proxy
internal import Routing

/// Everything that the flags say, with the defaults. Those of the data plane are taken from its own limits.
public struct Settings: Sendable {
    /// Where services register. Nil: at the sockets that were passed to the process, or at the usual address.
    public var controlAddresses: [ControlAddress]?
    /// How long a route stays without a session, and its clients wait.
    public var hold = TimeSpan(milliseconds: defaults.hold)
    /// Clients of a route that wait at once; a listener may have sixteen times as many.
    public var holdLimit = defaults.holdLimit
    /// What those may have said, sixteen times as much on a listener.
    public var holdBytes = ByteCount(bytes: defaults.holdBytes)
    /// Clients that had to wait, released to a session in a second. Nil: as many at once as it has answered so far.
    public var releaseRate: Int?
    /// After how much silence of a session a ping asks whether it lives, and how long that may go unanswered.
    public var pingInterval = TimeSpan(milliseconds: defaults.pingInterval)
    public var pingTimeout = TimeSpan(milliseconds: defaults.pingTimeout)
    /// How long after the start a host and path that nobody has registered waits instead of being refused.
    public var startGrace = TimeSpan(milliseconds: 10_000)
    /// Sessions at once. Nil: as the data plane has by default, or an eighth of the descriptors if that is less.
    public var maximumSessions: Int?
    /// Registrations under way at once. Nil: 1024, or a sixteenth of the descriptors if that is less.
    public var maximumPending: Int?

    /// Clients at once. Nil: what the limit on descriptors leaves, and a memory limit.
    public var maximumConnections: Int?
    /// If that is nil.
    var mostConnections = Self.connectionCeiling
    /// Clients that wait in the kernel to be accepted, for each reactor's socket of a listener.
    public var backlog = 4096
    public var headLimit = ByteCount(bytes: defaults.headBytes)
    public var headTimeout = TimeSpan(milliseconds: defaults.timeouts.head)
    public var idleTimeout = TimeSpan(milliseconds: defaults.timeouts.idle)
    public var stallTimeout = TimeSpan(milliseconds: defaults.timeouts.stall)
    /// How long a service may take until its reply begins. Nil: as long as it likes.
    public var replyTimeout: TimeSpan?
    /// How long a relay may be without a byte either way. Nil: as long as its ends like.
    public var relayIdleTimeout: TimeSpan?
    /// Clients whose forwarding fields are believed.
    public var trustedNetworks: [TrustedNetwork] = []

    /// The oldest version of TLS that clients may come with.
    public var tlsMinimum = TLSMinimum.tls12
    public var tlsHandshakeTimeout = TimeSpan(milliseconds: defaults.timeouts.handshake)
    /// Handshakes at once. Nil: as the data plane has by default, or what a memory limit allows.
    public var tlsHandshakes: Int?

    /// Nil: one for every processor that the process may run on, as far as its processor time goes.
    public var reactors: Int?
    /// Whether each reactor stays on a processor of its own.
    public var pinsReactors = false
    /// Operations of a turn that are submitted at once, for each reactor.
    public var ringEntries = defaults.ringEntries
    /// Microseconds for which a reactor with nothing to do looks for more before it sleeps.
    public var busyPoll = defaults.busyPoll
    /// Of each reactor.
    public var receiveBuffers = defaults.receiveBuffers
    public var receiveBufferSize = ByteCount(bytes: defaults.receiveBufferBytes)
    /// Whether bulk goes through pipes, of which each reactor has so many, of so many bytes. Nil: as the data plane has
    /// by default, or what a sixty-fourth of the descriptors allows if that is less.
    public var splices = true
    public var pipes: Int?
    public var pipeSize = ByteCount(bytes: defaults.pipeBytes)
    /// What may wait in the process before services have to stop sending. Nil: as the data plane has by default, or a
    /// quarter of a memory limit.
    public var bufferLimit: ByteCount?
    /// How long requests under way may take to end after the first signal.
    public var drain = TimeSpan(milliseconds: 10_000)
    public var logLevel = LogLevel.info
    /// Where figures are told by HTTP, and the names by which that may be reached beside addresses. Nil: nowhere.
    public var metricsAddress: MetricsAddress?
    public var metricsHosts: [String] = []
    /// Routes with figures of their own.
    public var metricsRoutes = defaults.routeFigures - RouteCounter.firstSlot
    /// Whether memory, private keys in it, may get into core dumps.
    public var allowsCoreDumps = false
    /// For tests: every connection is handed over to another reactor.
    public var forcesHandOver = false
    /// For tests: the id of each session's first stream, an odd one.
    public var firstStreamID: UInt32 = 1

    public init() {}

    /// Clients at once at most: beyond it, the records of a reactor would take an address space that not every machine
    /// grants.
    public static let connectionCeiling = 1_000_000

    /// What holds where no memory limit says otherwise.
    public static let standardBufferLimit = ByteCount(bytes: defaults.bufferBytes)
    public static let standardHandshakes = defaults.handshakes

    private static let defaults = DataPlaneLimits()
}

extension Settings {
    /// - Throws: a sentence that names the first flag whose value is out of its range, and the range.
    public func check() throws(UnusableValue) {
        let addresses = controlAddresses ?? [.standard]
        guard !addresses.isEmpty else { throw UnusableValue("--bind is required at least once") }
        guard Set(addresses).count == addresses.count else {
            throw UnusableValue("--bind is given twice for one address; leave one of them out")
        }
        try check("--reactors", reactors ?? 1, 1...(SessionHandle.reactorLimit - 1))
        try check("--max-connections", maximumConnections ?? 1, 1...Self.connectionCeiling)
        try check("--max-sessions", maximumSessions ?? 1, 1...65_536)
        try check("--max-pending", maximumPending ?? 1, 1...65_536)
        try check("--backlog", backlog, 1...DataPlaneLimits.longestBacklog)
        try check("--hold-limit", holdLimit, 0...Self.connectionCeiling)
        try check("--hold-bytes", holdBytes, from: 64 << 10, to: 1 << 40)
        try check("--tls-handshakes", tlsHandshakes ?? 16, 16...Self.connectionCeiling)
        try check("--release-rate", releaseRate ?? 1, 1...1_000_000)
        try checkPower("--ring-entries", ringEntries, 64...32_768)
        try checkPower("--receive-buffers", receiveBuffers, 8...32_768)
        try check("--receive-buffer-size", receiveBufferSize, from: 1 << 10, to: 1 << 20)
        try check("--pipes", pipes ?? 1, 1...16_384)
        try check("--pipe-size", pipeSize, from: 64 << 10, to: 1 << 20)
        guard pipeSize.bytes & (pipeSize.bytes - 1) == 0 else {
            throw UnusableValue("--pipe-size is a power of two, 256k for example, not \(pipeSize)")
        }
        guard splices || pipes == nil else {
            throw UnusableValue("--pipes has no effect with --no-splice; leave one of them out")
        }
        try check("--busy-poll", busyPoll, 0...100_000)
        try check("--metrics-routes", metricsRoutes, 0...DataPlaneLimits.mostRoutesWithFigures)
        guard metricsAddress != nil || metricsHosts.isEmpty else {
            throw UnusableValue("--metrics-host has no effect without --metrics; give both, or neither")
        }
        try check("--head-limit", headLimit, from: 1 << 10, to: 128 << 10)
        try check("--buffer-limit", bufferLimit ?? ByteCount(bytes: 1 << 20), from: 1 << 20, to: 1 << 40)
        for (flag, time) in [
            ("--tls-handshake-timeout", tlsHandshakeTimeout), ("--head-timeout", headTimeout),
            ("--idle-timeout", idleTimeout), ("--stall-timeout", stallTimeout),
            ("--ping-interval", pingInterval), ("--ping-timeout", pingTimeout),
        ] where time.milliseconds == 0 {
            throw UnusableValue("\(flag) must be greater than 0; give 30s, for example")
        }
    }

    private func check(_ flag: String, _ value: Int, _ range: ClosedRange<Int>) throws(UnusableValue) {
        guard range.contains(value) else {
            throw UnusableValue("\(flag) is a number from \(range.lowerBound) to \(range.upperBound), not \(value)")
        }
    }

    private func checkPower(_ flag: String, _ value: Int, _ range: ClosedRange<Int>) throws(UnusableValue) {
        guard range.contains(value), value & (value - 1) == 0 else {
            throw UnusableValue(
                "\(flag) is a power of two from \(range.lowerBound) to \(range.upperBound), not \(value)")
        }
    }

    private func check(_ flag: String, _ size: ByteCount, from: Int, to: Int) throws(UnusableValue) {
        guard (from...to).contains(size.bytes) else {
            let (lowest, highest) = (ByteCount(bytes: from), ByteCount(bytes: to))
            throw UnusableValue("\(flag) is a size from \(lowest) to \(highest), not \(size)")
        }
    }

    /// What bounds the reactors.
    /// - Parameters:
    ///   - budget: what the descriptors allow.
    ///   - now: of the monotonic clock, in milliseconds.
    func dataPlaneLimits(_ budget: DescriptorBudget, now: UInt64) -> DataPlaneLimits {
        var limits = DataPlaneLimits()
        limits.reactors = budget.reactors
        limits.connections = budget.connections
        limits.sessions = budget.sessions
        limits.listeners = budget.listeners
        limits.ringEntries = ringEntries
        limits.busyPoll = busyPoll
        limits.receiveBuffers = receiveBuffers
        limits.receiveBufferBytes = receiveBufferSize.bytes
        limits.pipes = budget.pipes
        limits.pipeBytes = pipeSize.bytes
        limits.headBytes = headLimit.bytes
        limits.timeouts.handshake = tlsHandshakeTimeout.milliseconds
        limits.handshakes = tlsHandshakes ?? limits.handshakes
        limits.timeouts.head = headTimeout.milliseconds
        limits.timeouts.idle = idleTimeout.milliseconds
        limits.timeouts.stall = stallTimeout.milliseconds
        limits.timeouts.reply = replyTimeout?.milliseconds ?? 0
        limits.timeouts.relayIdle = relayIdleTimeout?.milliseconds ?? 0
        limits.hold = hold.milliseconds
        limits.holdLimit = holdLimit
        limits.holdBytes = holdBytes.bytes
        limits.releaseRate = releaseRate ?? 0
        limits.pingInterval = pingInterval.milliseconds
        limits.pingTimeout = pingTimeout.milliseconds
        limits.graceEnd = now + startGrace.milliseconds
        limits.bufferBytes = bufferLimit?.bytes ?? limits.bufferBytes
        limits.trusted = trustedNetworks.map { $0.network }
        limits.routeFigures = metricsRoutes + RouteCounter.firstSlot
        limits.forceHandOver = forcesHandOver
        limits.firstStreamID = firstStreamID
        return limits
    }
}
