internal import ArgumentParser
internal import Glibc
internal import Logging
internal import NIOCore
internal import SocketMaster

// The flags in the groups of the help.

struct ListeningFlags: ParsableArguments {
    @Option(parsing: .unconditional, help: .init("The public port; 0 is any free one.", valueName: "port"))
    var port: Int

    @Option(help: .init("The public address. (default: all)", valueName: "address"))
    var address = ""

    @Flag(help: "Take HTTP requests of every host and path.")
    var http = false

    @Option(help: .init("Take HTTP requests for this host and those below it.", valueName: "suffix"))
    var domain: String?

    @Option(help: .init("Take HTTP requests whose path begins so.", valueName: "prefix"))
    var path: String?

    @Option(help: .init("Speak TLS with this certificate, its chain behind it, in PEM.", valueName: "file"))
    var cert: String?

    @Option(help: .init("Its private key, in PEM.", valueName: "file"))
    var key: String?

    private var isHTTP: Bool { http || domain != nil || path != nil }

    func check(sendsProxyHeader: Bool) throws {
        if (cert == nil) != (key == nil) { throw ValidationError("--cert and --key belong together") }
        if isHTTP, sendsProxyHeader {
            throw ValidationError("--send-proxy is for raw connections; HTTP requests bring X-Forwarded-For")
        }
    }

    /// What is registered.
    func definition() throws(Failure) -> SocketDefinition {
        var definition = SocketDefinition(address: address, port: port)
        if isHTTP { definition.http = .init(domainSuffix: domain ?? "", pathPrefix: path ?? "") }
        if let cert, let key { definition.tls = .init(certificate: try contents(of: cert), key: try contents(of: key)) }
        do throws(SocketMasterError) {
            try definition.check()
        } catch {
            throw Failure(EX_USAGE, error.description)
        }
        return definition
    }

    /// Larger files are no certificates; the bound keeps a device from filling the memory.
    private static let fileLimit = 2 << 20

    private func contents(of path: String) throws(Failure) -> [UInt8] {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw Failure(EX_NOINPUT, "\(path) cannot be read: \(reason(errno)).") }
        defer { close(fd) }
        var contents: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while contents.count <= Self.fileLimit {
            let count = unsafe piece.withUnsafeMutableBytes { unsafe read(fd, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(EX_NOINPUT, "\(path) cannot be read: \(reason(errno)).") }
            if count == 0 { return contents }
            contents += piece[..<count]
        }
        throw Failure(EX_NOINPUT, "\(path) is too large for a certificate or a key.")
    }
}

struct TargetFlags: ParsableArguments {
    @Option(
        help: .init("Where the published program listens.", valueName: "host:port|unix:path"),
        transform: { text throws in try parsed(text, ControlAddress.init(parsing:)) })
    var to: ControlAddress

    @Flag(help: "Begin each connection to it with a PROXY protocol header (version 2) that tells the client's address.")
    var sendProxy = false

    @Flag(help: "Register only when it accepts connections. A command is always waited for.")
    var waitForTarget = false

    @Option(
        help: .init("How long it is waited for. (default: as long as it takes)", valueName: "time"),
        transform: { text throws in try time(text) })
    var waitTimeout: TimeAmount?

    func check(hasCommand: Bool) throws {
        guard waitTimeout == nil || waitForTarget || hasCommand else {
            throw ValidationError("--wait-timeout is for --wait-for-target, or for a command")
        }
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
    _ text: String, _ parse: (String) throws(SocketMasterError) -> Value
) throws -> Value {
    do throws(SocketMasterError) {
        return try parse(text)
    } catch {
        throw ValidationError(error.description)
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

/// What the C library says of an error.
func reason(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
