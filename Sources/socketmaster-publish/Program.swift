internal import ArgumentParser
internal import Glibc
internal import Logging
internal import Registration
internal import SocketMaster

/// Publishes a program that listens on a port of its own, without touching it.
@main
struct Program: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "socketmaster-publish",
        abstract: "Publishes a local port or unix socket as a service of socketmaster.",
        usage: "socketmaster-publish --port <port> --to <address> [<options>] [-- <command> ...]",
        discussion: """
            With --http, --domain or --path it gets HTTP requests, else raw connections. Of --port, --domain and \
            --path there may be several: each domain is published with each path on each port. While the target \
            takes no connections it is withdrawn from the proxy, which lets clients wait. With a command \
            after -- that is started, waited for and published, gets the signals, and its exit code is the \
            exit code. Times are a whole number and a unit: 500ms, 30s, 2m, 1h. SIGTERM and SIGINT let \
            connections under way end, and only then the command, which has as long for it as they had; \
            a second one ends the program and the command at once.
            """,
        version: SocketMasterBootstrap.version)

    @OptionGroup(title: "What clients connect to")
    var listening: ListeningFlags
    @OptionGroup(title: "What they get")
    var target: TargetFlags
    @OptionGroup(title: "The proxy")
    var proxy: ProxyFlags

    @Argument(parsing: .postTerminator, help: .init("The program to start and to publish.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        try listening.check(sendsProxyHeader: target.sendProxy)
        try target.check(hasCommand: !command.isEmpty)
        if command.first?.isEmpty == true { throw ValidationError("the command behind -- has no name") }
        if let flag = repeatedFlag(in: CommandLine.arguments.dropFirst(), many: ListeningFlags.many) {
            throw ValidationError("\(flag) is given twice; give it once")
        }
    }

    func run() throws {
        // Before anything below starts a thread: one that does not block them would take them.
        Signals.block()
        let level = proxy.logLevel
        LoggingSystem.bootstrap { label in Log(label: label, level: level) }
        do throws(Failure) {
            let publication = Publication(
                definitions: try listening.definitions(), target: target, proxy: proxy, command: command)
            publication.run()
        } catch {
            error.exit()
        }
    }

    static func main() {
        StandardStreams.open()
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            if exitCode(for: error).isSuccess { exit(withError: error) }
            Failure(EX_USAGE, "\(clause(of: message(for: error))); see socketmaster-publish --help.").exit()
        }
    }
}
