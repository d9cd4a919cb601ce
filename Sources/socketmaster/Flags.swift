internal import ArgumentParser
internal import Control
internal import Logging
internal import Proxy

// The flags in the groups of the help, and what each one sets. Their ranges are checked by `Settings`.

private let dataPlane = DataPlaneLimits()
private let settings = Settings()

struct ServiceFlags: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: .init(
            "Where services register; may be given several times. (default: \(ControlAddress.standard))",
            valueName: "ADDR:PORT|unix:PATH"),
        transform: value(ControlAddress.init(parsing:)))
    var bind: [ControlAddress] = []

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long the clients of a service that has gone wait for its return. (default: \(TimeSpan(milliseconds: dataPlane.hold)))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var hold = TimeSpan(milliseconds: dataPlane.hold)

    @Option(
        parsing: .unconditional,
        help: .init(
            "Clients that wait at once, on each listener. (default: \(dataPlane.holdLimit))",
            valueName: "count"),
        transform: value(number))
    var holdLimit = dataPlane.holdLimit

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long after the start clients wait for services yet to register. (default: \(TimeSpan(milliseconds: settings.startGrace)))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var startGrace = TimeSpan(milliseconds: settings.startGrace)

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
        settings.dataPlane.hold = hold.milliseconds
        settings.dataPlane.holdLimit = holdLimit
        settings.startGrace = startGrace.milliseconds
        settings.maximumSessions = maxSessions
        settings.maximumPending = maxPending
    }
}

struct ClientFlags: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: .init(
            "Clients at once. (default: what the descriptors leave, at most \(Settings.connectionCeiling))",
            valueName: "count"),
        transform: value(number))
    var maxConnections: Int?

    @Option(
        parsing: .unconditional,
        help: .init(
            "Clients that wait to be accepted, for each reactor of a listener. (default: \(settings.backlog))",
            valueName: "count"),
        transform: value(number))
    var backlog = settings.backlog

    @Option(
        parsing: .unconditional,
        help: .init(
            "The largest head of a request. (default: \(ByteCount(bytes: dataPlane.headBytes)))",
            valueName: "size"),
        transform: value(ByteCount.init(parsing:)))
    var headLimit = ByteCount(bytes: dataPlane.headBytes)

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long the head of a request may take. (default: \(TimeSpan(milliseconds: dataPlane.headTimeout)))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var headTimeout = TimeSpan(milliseconds: dataPlane.headTimeout)

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long a client may be silent between two requests. (default: \(TimeSpan(milliseconds: dataPlane.idleTimeout)))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var idleTimeout = TimeSpan(milliseconds: dataPlane.idleTimeout)

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long a body may stand still. (default: \(TimeSpan(milliseconds: dataPlane.stallTimeout)))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var stallTimeout = TimeSpan(milliseconds: dataPlane.stallTimeout)

    @Option(
        parsing: .unconditional,
        help: .init("How long a service may take until its reply begins. (default: off)", valueName: "time|off"),
        transform: value(timeOrOff))
    var replyTimeout: TimeSpan?

    @Option(
        parsing: .unconditionalSingleValue,
        help: .init(
            "Clients whose forwarding fields are believed; may be given several times. (default: nobody)",
            valueName: "CIDR"),
        transform: value(Network.init(parsing:)))
    var trustForwarded: [Network] = []

    func apply(to settings: inout Settings) {
        settings.maximumConnections = maxConnections
        settings.backlog = backlog
        settings.dataPlane.headBytes = headLimit.bytes
        settings.dataPlane.headTimeout = headTimeout.milliseconds
        settings.dataPlane.idleTimeout = idleTimeout.milliseconds
        settings.dataPlane.stallTimeout = stallTimeout.milliseconds
        settings.dataPlane.replyTimeout = replyTimeout?.milliseconds ?? 0
        settings.dataPlane.trusted = trustForwarded
    }
}

struct MachineFlags: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: .init("Threads that serve clients. (default: the processors it may run on)", valueName: "count"),
        transform: value(number))
    var reactors: Int?

    @Flag(help: "Keep each reactor on a processor of its own.")
    var pin = false

    @Option(
        parsing: .unconditional,
        help: .init(
            "Operations of a turn that are submitted at once, a power of two. (default: \(dataPlane.ringEntries))",
            valueName: "count"),
        transform: value(number))
    var ringEntries = dataPlane.ringEntries

    @Option(
        parsing: .unconditional,
        help: .init(
            "Receive buffers of each reactor, a power of two. (default: \(dataPlane.receiveBuffers))",
            valueName: "count"),
        transform: value(number))
    var receiveBuffers = dataPlane.receiveBuffers

    @Option(
        parsing: .unconditional,
        help: .init(
            "What fits into a receive buffer. (default: \(ByteCount(bytes: dataPlane.receiveBufferBytes)))",
            valueName: "size"),
        transform: value(ByteCount.init(parsing:)))
    var receiveBufferSize = ByteCount(bytes: dataPlane.receiveBufferBytes)

    @Option(
        parsing: .unconditional,
        help: .init(
            "Bytes that may wait here before services have to stop sending. (default: \(ByteCount(bytes: dataPlane.bufferBytes)))",
            valueName: "size"),
        transform: value(ByteCount.init(parsing:)))
    var bufferLimit = ByteCount(bytes: dataPlane.bufferBytes)

    @Option(
        parsing: .unconditional,
        help: .init(
            "How long requests under way may take to end after the first signal. (default: \(TimeSpan(milliseconds: settings.drain)))",
            valueName: "time"),
        transform: value(TimeSpan.init(parsing:)))
    var drain = TimeSpan(milliseconds: settings.drain)

    @Option(
        parsing: .unconditional,
        help: .init(
            "What is logged: trace, debug, info, notice, warning, error or critical. (default: \(settings.logLevel))",
            valueName: "level"),
        transform: value(level))
    var logLevel = settings.logLevel

    /// For tests: every connection is handed over to another reactor.
    @Flag(help: .hidden)
    var forceHandOver = false

    func apply(to settings: inout Settings) {
        settings.reactors = reactors
        settings.pinsReactors = pin
        settings.dataPlane.ringEntries = ringEntries
        settings.dataPlane.receiveBuffers = receiveBuffers
        settings.dataPlane.receiveBufferBytes = receiveBufferSize.bytes
        settings.dataPlane.bufferBytes = bufferLimit.bytes
        settings.drain = drain.milliseconds
        settings.logLevel = logLevel
        settings.dataPlane.forceHandOver = forceHandOver
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
    guard let number = Int(text) else { throw UnusableValue("it is no whole number") }
    return number
}

@Sendable
private func timeOrOff(_ text: String) throws(UnusableValue) -> TimeSpan {
    text == "off" ? TimeSpan(milliseconds: 0) : try TimeSpan(parsing: text)
}

@Sendable
private func level(_ text: String) throws(UnusableValue) -> Logger.Level {
    guard let level = Logger.Level(rawValue: text) else {
        throw UnusableValue("the levels are \(Logger.Level.allCases.map { $0.rawValue }.joined(separator: ", "))")
    }
    return level
}
