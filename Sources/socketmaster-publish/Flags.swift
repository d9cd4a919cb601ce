internal import ArgumentParser
internal import Logging
internal import NIOCore
internal import SocketMaster

// The flags in the groups of the help.

struct ListeningFlags: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: .init("The public port; 0 is any free one. May be given several times.", valueName: "port"))
    var port: [Int]

    @Option(help: .init("The public address. (default: all)", valueName: "address"))
    var address = ""

    @Flag(help: "Take HTTP requests of every host and path.")
    var http = false

    @Option(
        help: .init(
            "Take HTTP requests for this host and those below it. May be given several times.", valueName: "suffix"))
    var domain: [String] = []

    @Option(
        help: .init("Take HTTP requests whose path begins so. May be given several times.", valueName: "prefix"))
    var path: [String] = []

    @Option(help: .init("Speak TLS with this certificate, its chain behind it, in PEM.", valueName: "file"))
    var cert: String?

    @Option(help: .init("Its private key, in PEM.", valueName: "file"))
    var key: String?

    /// The flags of all groups that may be given several times.
    static let many: Set<String> = ["--port", "--domain", "--path"]

    var isHTTP: Bool { http || !domain.isEmpty || !path.isEmpty }

    func check(sendsProxyHeader: Bool) throws {
        if (cert == nil) != (key == nil) { throw ValidationError("--cert and --key belong together") }
        if isHTTP, sendsProxyHeader {
            throw ValidationError("--send-proxy is for raw connections; HTTP requests bring X-Forwarded-For")
        }
    }
}

struct TargetFlags: ParsableArguments {
    @Option(
        help: .init("Where the published program listens.", valueName: "host:port|unix:path"),
        transform: { text throws in try parsed(text, ControlAddress.init(parsing:)) })
    var to: ControlAddress

    @Option(
        help: .init(
            "How long it may take to accept a connection, not to answer; then it is withdrawn until it accepts again. "
                + "(default: 2s)",
            valueName: "time"),
        transform: { text throws in try time(text) })
    var targetTimeout = TimeAmount.seconds(2)

    @Flag(help: "Begin each connection to it with a PROXY protocol header (version 2) that tells the client's address.")
    var sendProxy = false

    @Flag(help: "Register only when it accepts connections. A command is always waited for.")
    var waitForTarget = false

    @Option(
        help: .init("How long it is waited for at the start. (default: as long as it takes)", valueName: "time"),
        transform: { text throws in try time(text) })
    var waitTimeout: TimeAmount?

    func check(hasCommand: Bool) throws {
        guard waitTimeout == nil || waitForTarget || hasCommand else {
            throw ValidationError("--wait-timeout is for --wait-for-target, or for a command")
        }
        guard targetTimeout > .zero else { throw ValidationError("--target-timeout must be greater than 0") }
    }
}

struct ProxyFlags: ParsableArguments {
    @Option(
        help: .init("Where the proxy takes registrations. (default: 127.0.0.1:9999)", valueName: "host:port|unix:path"),
        transform: { text throws in try parsed(text, ControlAddress.init(parsing:)) })
    var proxy = ControlAddress.standard

    @Option(help: .init("What the proxy calls it in its log.", valueName: "name"))
    var name: String?

    @Option(help: .init("How many sessions it registers. (default: one for each reactor)", valueName: "count"))
    var sessions: Int?

    @Option(
        help: .init("How long connections under way may take to end. (default: 30s)", valueName: "time"),
        transform: { text throws in try time(text) })
    var drain = TimeAmount.seconds(30)

    @Option(
        help: .init("trace, debug, info, notice, warning, error or critical. (default: info)", valueName: "level"),
        transform: { text throws in
            guard let level = Logger.Level(rawValue: text) else { throw ValidationError("\"\(text)\" is no log level") }
            return level
        })
    var logLevel = Logger.Level.info

    func validate() throws {
        if let sessions, !(1...256).contains(sessions) { throw ValidationError("--sessions takes 1 to 256") }
    }
}

/// A value whose own error is a sentence.
private func parsed<Value>(
    _ text: String, _ parse: (String) throws -> Value
) throws -> Value {
    do {
        return try parse(text)
    } catch let error as SocketMasterError {
        throw ValidationError(error.message)
    }
}

/// A whole number and a unit.
private func time(_ text: String) throws -> TimeAmount {
    let units: [(String, (Int64) -> TimeAmount)] = [
        ("ms", TimeAmount.milliseconds), ("s", TimeAmount.seconds), ("m", TimeAmount.minutes), ("h", TimeAmount.hours),
    ]
    for (unit, make) in units where text.hasSuffix(unit) {
        if let number = Int64(text.dropLast(unit.count)), (0...1_000_000).contains(number) { return make(number) }
    }
    throw ValidationError("\"\(text)\" is no time; write a whole number and ms, s, m or h, 30s for example")
}

/// A time as `time` reads it.
func text(_ time: TimeAmount) -> String {
    let milliseconds = time.nanoseconds / 1_000_000
    return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
}
