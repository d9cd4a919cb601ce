internal import ArgumentParser
internal import Control

// The flags in the groups of the help, and what each one sets. Their ranges are checked by `Settings`.

private let defaults = Settings()

struct ServiceFlags: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: .init(
            "Where services register; may be given several times. A unix socket is its owner's alone, unless "
                + ",mode=0660,group=NAME stands behind its path. (default: \(ControlAddress.standard))",
            valueName: "ADDR:PORT|unix:PATH"),
        transform: value(ControlAddress.init(parsing:)))
    var bind: [ControlAddress] = []

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long the clients of a service that has gone wait for its return. (default: \(defaults.hold))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var hold = defaults.hold

    @Option(
        parsing: .unconditional,
        help: .init(
            "Clients of a route that wait at once, of a port sixteen times as many. (default: \(defaults.holdLimit))",
            valueName: "count"),
        transform: value(number))
    var holdLimit = defaults.holdLimit

    @Option(
        parsing: .unconditional,
        help: .init(
            "What those may have said, those of a port sixteen times as much. (default: \(defaults.holdBytes))",
            valueName: "size"),
        transform: value(ByteCount.init(parsing:)))
    var holdBytes = defaults.holdBytes

    @Option(
        parsing: .unconditional,
        help: .init(
            "Waiting clients that a returned service gets in a second; adaptive: as many at once as it has answered. "
                + "(default: adaptive)",
            valueName: "count|adaptive"),
        transform: value(rateOrAdaptive))
    var releaseRate: Int?

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long a service may be silent until a ping asks whether it lives. (default: \(defaults.pingInterval))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var pingInterval = defaults.pingInterval

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long it may take to answer. (default: \(defaults.pingTimeout))", valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var pingTimeout = defaults.pingTimeout

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long after the start clients wait for services yet to register. (default: \(defaults.startGrace))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var startGrace = defaults.startGrace

    @Option(
        parsing: .unconditional,
        help: .init("Sessions at once. (default: 4096, or an eighth of the descriptors)", valueName: "count"),
        transform: value(number))
    var maxSessions: Int?

    @Option(
        parsing: .unconditional,
        help: .init(
            "Registrations under way at once. (default: 1024, or a sixteenth of the descriptors)",
            valueName: "count"),
        transform: value(number))
    var maxPending: Int?

    func apply(to settings: inout Settings) {
        if !bind.isEmpty { settings.controlAddresses = bind }
        settings.hold = hold
        settings.holdLimit = holdLimit
        settings.holdBytes = holdBytes
        settings.releaseRate = releaseRate
        settings.pingInterval = pingInterval
        settings.pingTimeout = pingTimeout
        settings.startGrace = startGrace
        settings.maximumSessions = maxSessions
        settings.maximumPending = maxPending
    }
}

struct ClientFlags: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: .init(
            "Clients at once. (default: what descriptors and the cgroup's memory leave, at most "
                + "\(Settings.connectionCeiling))",
            valueName: "count"),
        transform: value(number))
    var maxConnections: Int?

    @Option(
        parsing: .unconditional,
        help: .init(
            "Clients that wait to be accepted, for each reactor of a listener. (default: \(defaults.backlog))",
            valueName: "count"),
        transform: value(number))
    var backlog = defaults.backlog

    @Option(
        parsing: .unconditional,
        help: .init(
            "The largest head of a request. (default: \(defaults.headLimit))",
            valueName: "size"),
        transform: value(ByteCount.init(parsing:)))
    var headLimit = defaults.headLimit

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long the head of a request may take. (default: \(defaults.headTimeout))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var headTimeout = defaults.headTimeout

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long a client may be silent between two requests. (default: \(defaults.idleTimeout))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var idleTimeout = defaults.idleTimeout

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long a request's body may stand still, and bytes may wait for a side that takes none. "
                + "(default: \(defaults.stallTimeout))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var stallTimeout = defaults.stallTimeout

    @Option(
        parsing: .unconditional,
        help: .init("How long a service may take until its reply begins. (default: off)", valueName: "time|off"),
        transform: value(timeOrOff))
    var replyTimeout: TimeSpan?

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long a relay (raw, upgraded, CONNECT) or a reply that has begun may be without a byte either way. "
                + "(default: off)",
            valueName: "time|off"),
        transform: value(timeOrOff))
    var relayIdleTimeout: TimeSpan?

    @Option(
        parsing: .unconditionalSingleValue,
        help: .init(
            "Clients whose forwarding fields are believed; may be given several times. (default: nobody)",
            valueName: "CIDR"),
        transform: value(TrustedNetwork.init(parsing:)))
    var trustForwarded: [TrustedNetwork] = []

    @Option(
        parsing: .unconditional,
        help: .init(
            "The oldest version of TLS that is spoken. (default: \(defaults.tlsMinimum))", valueName: "1.2|1.3"),
        transform: value(TLSMinimum.init(parsing:)))
    var tlsMin = defaults.tlsMinimum

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long the handshake of TLS may take. (default: \(defaults.tlsHandshakeTimeout))", valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var tlsHandshakeTimeout = defaults.tlsHandshakeTimeout

    @Option(
        parsing: .unconditional,
        help: .init(
            "Handshakes at once, 16 for each reactor at least; beyond it the oldest one ends. "
                + "(default: \(Settings.standardHandshakes), or what the cgroup's memory allows)",
            valueName: "count"),
        transform: value(number))
    var tlsHandshakes: Int?

    func apply(to settings: inout Settings) {
        settings.tlsMinimum = tlsMin
        settings.tlsHandshakeTimeout = tlsHandshakeTimeout
        settings.tlsHandshakes = tlsHandshakes
        settings.maximumConnections = maxConnections
        settings.backlog = backlog
        settings.headLimit = headLimit
        settings.headTimeout = headTimeout
        settings.idleTimeout = idleTimeout
        settings.stallTimeout = stallTimeout
        settings.replyTimeout = replyTimeout
        settings.relayIdleTimeout = relayIdleTimeout
        settings.trustedNetworks = trustForwarded
    }
}

struct MachineFlags: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: .init(
            "Threads that serve clients. (default: the processors it may run on, or its cgroup's share of them)",
            valueName: "count"),
        transform: value(number))
    var reactors: Int?

    @Flag(help: "Keep each reactor on a processor of its own.")
    var pin = false

    @Option(
        parsing: .unconditional,
        help: .init(
            "Operations of a turn that are submitted at once, a power of two. (default: \(defaults.ringEntries))",
            valueName: "count"),
        transform: value(number))
    var ringEntries = defaults.ringEntries

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long a reactor looks for more before it sleeps; trades a processor for latency. (default: "
                + "\(defaults.busyPoll))",
            valueName: "microseconds"),
        transform: value(number))
    var busyPoll = defaults.busyPoll

    @Option(
        parsing: .unconditional,
        help: .init(
            "Receive buffers of each reactor, a power of two. (default: \(defaults.receiveBuffers))",
            valueName: "count"),
        transform: value(number))
    var receiveBuffers = defaults.receiveBuffers

    @Option(
        parsing: .unconditional,
        help: .init(
            "What fits into a receive buffer. (default: \(defaults.receiveBufferSize))",
            valueName: "size"),
        transform: value(ByteCount.init(parsing:)))
    var receiveBufferSize = defaults.receiveBufferSize

    @Option(
        parsing: .unconditional,
        help: .init(
            "Pipes of each reactor, for bulk that is not copied. (default: 64, or what the descriptors allow)",
            valueName: "count"),
        transform: value(number))
    var pipes: Int?

    @Option(
        parsing: .unconditional,
        help: .init(
            "What fits into a pipe, a power of two. (default: \(defaults.pipeSize))",
            valueName: "size"),
        transform: value(ByteCount.init(parsing:)))
    var pipeSize = defaults.pipeSize

    @Flag(help: "Copy bulk instead of moving it through pipes.")
    var noSplice = false

    @Option(
        parsing: .unconditional,
        help: .init(
            "Bytes that may wait here before services have to stop sending. (default: \(Settings.standardBufferLimit), "
                + "or a quarter of the cgroup's memory)",
            valueName: "size"),
        transform: value(ByteCount.init(parsing:)))
    var bufferLimit: ByteCount?

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long requests under way may take to end after the first signal. (default: \(defaults.drain))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var drain = defaults.drain

    @Option(
        parsing: .unconditional,
        help: .init(
            "What is logged: trace, debug, info, notice, warning, error or critical. (default: \(defaults.logLevel))",
            valueName: "level"),
        transform: value(LogLevel.init(parsing:)))
    var logLevel = defaults.logLevel

    @Flag(help: "Let a crash write the memory, private keys in it, to a core dump.")
    var allowCoreDumps = false

    @Flag(help: "Print the descriptors and the memory that these flags may use, and exit.")
    var printLimits = false

    /// For tests: every connection is handed over to another reactor.
    @Flag(help: .hidden)
    var forceHandOver = false

    /// For tests: the id of each session's first stream.
    @Option(parsing: .unconditional, help: .hidden, transform: value(streamID))
    var firstStreamId: UInt32 = 1

    func apply(to settings: inout Settings) {
        settings.reactors = reactors
        settings.pinsReactors = pin
        settings.ringEntries = ringEntries
        settings.busyPoll = busyPoll
        settings.receiveBuffers = receiveBuffers
        settings.receiveBufferSize = receiveBufferSize
        settings.pipes = pipes
        settings.pipeSize = pipeSize
        settings.splices = !noSplice
        settings.bufferLimit = bufferLimit
        settings.drain = drain
        settings.logLevel = logLevel
        settings.allowsCoreDumps = allowCoreDumps
        settings.forcesHandOver = forceHandOver
        settings.firstStreamID = firstStreamId
    }
}

struct FigureFlags: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: .init(
            "Where metrics, health and a page are served over HTTP, to be read only. (default: nowhere)",
            valueName: "ADDR:PORT"),
        transform: value(MetricsAddress.init(parsing:)))
    var metrics: MetricsAddress?

    @Option(
        parsing: .unconditionalSingleValue,
        help: .init(
            "A name by which browsers may reach that, beside addresses and localhost; may be given several times.",
            valueName: "name"))
    var metricsHost: [String] = []

    @Option(
        parsing: .unconditional,
        help: .init(
            "Routes that have figures of their own; beyond it they share some. (default: \(defaults.metricsRoutes))",
            valueName: "count"),
        transform: value(number))
    var metricsRoutes = defaults.metricsRoutes

    func apply(to settings: inout Settings) {
        settings.metricsAddress = metrics
        settings.metricsHosts = metricsHost
        settings.metricsRoutes = metricsRoutes
    }
}

// MARK: values

/// A parser of values in the form that flags take. The parser that comes with numbers would not say what is wanted.
private func value<Value>(
    _ parse: @escaping @Sendable (String) throws(UnusableValue) -> Value
) -> @Sendable (String) throws -> Value {
    { text in
        do throws(UnusableValue) {
            return try parse(text)
        } catch {
            throw ValidationError(error.description)
        }
    }
}

@Sendable
private func number(_ text: String) throws(UnusableValue) -> Int {
    guard let number = Int(text) else { throw UnusableValue("it is not a whole number; give digits alone") }
    return number
}

@Sendable
private func streamID(_ text: String) throws(UnusableValue) -> UInt32 {
    guard let id = UInt32(text), id & 1 == 1 else {
        throw UnusableValue("the ids of streams that we open are odd, from 1 to \(UInt32.max)")
    }
    return id
}

@Sendable
private func rateOrAdaptive(_ text: String) throws(UnusableValue) -> Int? {
    guard text != "adaptive" else { return nil }
    guard let rate = Int(text) else { throw UnusableValue("a rate is a whole number, or the word adaptive") }
    return rate
}

@Sendable
private func timeOrOff(_ text: String) throws(UnusableValue) -> TimeSpan? {
    guard text != "off" else { return nil }
    do {
        let time = try TimeSpan(parsing: text)
        if time.milliseconds > 0 { return time }
    } catch {
        throw UnusableValue("\(error.description), or the word off")
    }
    throw UnusableValue("it must be greater than 0; give a time, or the word off")
}
