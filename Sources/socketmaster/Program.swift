internal import ArgumentParser
internal import Control
internal import Observation
internal import Registration

/// The program: flags in, exit code out. Everything between is `Control`.
@main
struct Program: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "socketmaster",
        abstract: "A reverse proxy without configuration: services register themselves and get their clients.",
        usage: "socketmaster [<options>]",
        discussion: """
            Times are a whole number and a unit: 500ms, 30s, 2m, 1h. Sizes are bytes, or have a unit: 64k, 1m, 2g. \
            SIGTERM, SIGINT and SIGQUIT let requests under way end and then end the program with 0; a second one \
            ends it at once, with 128 and the signal's number. SIGUSR1 writes figures to the log.
            """,
        version: "socketmaster \(Version.text)")

    @OptionGroup(title: "Services")
    var services: ServiceFlags
    @OptionGroup(title: "Clients")
    var clients: ClientFlags
    @OptionGroup(title: "Figures")
    var figures: FigureFlags
    @OptionGroup(title: "Machine")
    var machine: MachineFlags

    /// The flags that may be given several times.
    private static let repeatable: Set<String> = ["--bind", "--metrics-host", "--trust-forwarded"]

    /// The settings that the flags amount to.
    func settings() throws(UnusableValue) -> Settings {
        var settings = Settings()
        services.apply(to: &settings)
        clients.apply(to: &settings)
        machine.apply(to: &settings)
        figures.apply(to: &settings)
        try settings.check()
        return settings
    }

    func run() throws {
        do {
            if machine.printLimits { return print(try settings().limitsText()) }
            let settings = try settings()
            let control = try ControlThread.start(settings)
            try Self.serveFigures(of: control, settings)
            Self.leave(control.serve())
        } catch let failure as StartFailure {
            Self.fail(failure.description, failure.exitCode)
        }
    }

    /// Metrics and the page, on a thread of their own, if the flags ask for them.
    private static func serveFigures(of control: ControlThread, _ settings: Settings) throws(StartFailure) {
        guard let descriptor = control.takeMetricsSocket() else { return }
        do {
            _ = try ObservationServer.start(listening: descriptor, desk: control.desk, hosts: settings.metricsHosts)
        } catch {
            throw StartFailure(
                .system, "Figures cannot be served: \(error); raise ulimit -n, free memory, or leave --metrics out.")
        }
    }

    func validate() throws {
        if let flag = repeatedFlag(in: CommandLine.arguments.dropFirst(), many: Self.repeatable) {
            throw ValidationError("\(flag) is given twice; give it once")
        }
        do {
            _ = try settings()
        } catch {
            throw ValidationError(error.description)
        }
    }

    static func main() {
        ProcessStart.prepare()
        if let exitCode = ProcessCheck.exitCode() { leave(exitCode) }
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            // Help and version are asked for, and so are told on standard output.
            if exitCode(for: error).isSuccess { exit(withError: error) }
            fail("\(clause(of: message(for: error))); see socketmaster --help.", .usage)
        }
    }
}
