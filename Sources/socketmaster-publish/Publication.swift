internal import Glibc
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import enum Registration.ListenAddress
internal import SocketMaster

/// The program's life: start the command, wait for the target, publish it, serve, and end in good order.
final class Publication: Sendable {
    private let definitions: [SocketDefinition]
    private let target: Target
    private let watch: TargetWatch
    private let check: LoopCheck
    private let sendsHeader: Bool
    private let waitsForTarget: Bool
    private let waitTimeout: TimeAmount?
    private let bootstrap: SocketMasterBootstrap
    private let arguments: [String]
    private let log: Logger
    private let drainTimeout: TimeAmount
    private let state = NIOLockedValueBox(State())

    private struct State {
        var command: Command?
        var commandExit: Int32?
        /// It has accepted connections.
        var hasTarget = false
        /// The published ports.
        var listeners: [any Channel] = []
        var publishing: Task<Void, Never>?
        /// The first signal that asked for the end.
        var ending: Int32?
        /// What else did.
        var failure: Failure?

        var isEnding: Bool { ending != nil || commandExit != nil || failure != nil }
    }

    /// - Parameter definitions: They have an address in common, and one is enough.
    init(definitions: [SocketDefinition], target: TargetFlags, proxy: ProxyFlags, command: [String]) {
        self.definitions = definitions
        self.target = Target(address: target.to, timeout: target.targetTimeout)
        let address = definitions.first.flatMap { try? ListenAddress(parsing: $0.address) } ?? .all
        check = LoopCheck(control: proxy.proxy, target: target.to, publicAddress: address)
        sendsHeader = target.sendProxy
        waitsForTarget = target.waitForTarget || !command.isEmpty
        waitTimeout = target.waitTimeout
        arguments = command
        drainTimeout = proxy.drain
        log = Logger(label: "socketmaster-publish")
        watch = TargetWatch(self.target, log: log)
        var configuration = SocketMasterConfiguration()
        configuration.name = proxy.name
        configuration.sessions = proxy.sessions
        configuration.drainTimeout = proxy.drain
        configuration.waitsForProxy = true
        // The target may be a proxy in front of ours.
        configuration.marksLoops = true
        configuration.wantsClientAddress = target.sendProxy
        configuration.prefersClientAddress = true
        bootstrap = SocketMasterBootstrap(proxy: proxy.proxy, configuration: configuration, logger: log)
    }

    /// Does not return: the main thread takes signals until the work is done.
    func run() -> Never {
        do throws(Failure) {
            try refuseLoops()
            if !arguments.isEmpty {
                let command = try Command.start(arguments)
                state.withLockedValue { $0.command = command }
            }
        } catch {
            error.exit()
        }
        let publishing = Task { await publish() }
        state.withLockedValue { $0.publishing = publishing }
        while true { received(Signals.wait()) }
    }

    // The work.

    /// What can be known before anything is started.
    private func refuseLoops() throws(Failure) {
        if let sentence = check.controlFault() { throw Failure(EX_USAGE, sentence) }
        for definition in definitions {
            if let sentence = check.portFault(definition.port) { throw Failure(EX_USAGE, sentence) }
        }
    }

    private func publish() async {
        do {
            try await waitForTarget()
            state.withLockedValue { $0.hasTarget = true }
            let loops = LoopWatch(check) { sentence in self.fail(Failure(EX_USAGE, sentence)) }
            loops.begin()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for definition in definitions { group.addTask { try await self.publish(definition, loops) } }
                while try await group.next() != nil {}
            }
            await finish(0)
        } catch let failure as Failure {
            await finish(failure.exitCode, failure)
        } catch is CancellationError {
            await finish(0)
        } catch {
            await finish(EX_SOFTWARE, Failure(EX_SOFTWARE, "\(error)"))
        }
    }

    private func waitForTarget() async throws {
        guard waitsForTarget else { return }
        do {
            try await watch.awaitTarget(within: waitTimeout.map { .nanoseconds($0.nanoseconds) })
        } catch let absence as Target.Absence {
            throw Failure(EX_UNAVAILABLE, "Nothing accepts connections at \(target.address): it \(absence.clause).")
        }
    }

    private func publish(_ definition: SocketDefinition, _ loops: LoopWatch) async throws {
        let server = try await listen(definition, loops)
        watch.add(server.channel)
        loops.look(at: server.channel)
        let isEnding = state.withLockedValue { state in
            state.listeners.append(server.channel)
            return state.isEnding
        }
        // The end may have been asked for in the meantime.
        if isEnding { server.channel.close(promise: nil) }
        for await _ in server {}
        await server.close()
    }

    private func listen(
        _ definition: SocketDefinition, _ loops: LoopWatch
    ) async throws -> SocketMasterListener<Void> {
        let intake = Intake(
            target: target, watch: watch, loops: loops, isHTTP: definition.http != nil, sendsHeader: sendsHeader)
        do {
            return try await bootstrap.listen(definition) { channel in intake.take(channel) }
        } catch let error as SocketMasterError {
            switch error.code {
            case .invalidDefinition: throw Failure(EX_USAGE, error.description)
            case .closed: throw CancellationError()
            case .notUnderstood: throw Failure(EX_PROTOCOL, error.description)
            default: throw Failure(EX_UNAVAILABLE, error.description)
            }
        }
    }

    // The end.

    private func received(_ signal: Int32) {
        let command = state.withLockedValue { $0.commandExit == nil ? $0.command : nil }
        if signal == SIGCHLD { return lookAfterCommand() }
        let isEnding = Signals.ending.contains(signal) || arguments.isEmpty && [SIGHUP, SIGQUIT].contains(signal)
        guard isEnding else {
            command?.send(signal)
            return
        }
        let isFirst = state.withLockedValue { state in
            defer { state.ending = state.ending ?? signal }
            return state.ending == nil
        }
        guard isFirst else {
            command?.kill()
            Log.flush()
            _exit(128 + signal)
        }
        log.info("draining")
        stop()
    }

    private func lookAfterCommand() {
        guard let command = state.withLockedValue({ $0.command }), let exitCode = command.exitCode() else { return }
        let isNews = state.withLockedValue { state in
            state.commandExit = exitCode
            guard state.ending == nil, state.failure == nil else { return false }
            guard !state.hasTarget else { return true }
            state.failure = Failure(
                exitCode == 0 ? EX_UNAVAILABLE : exitCode,
                "The command ended with \(exitCode) before anything accepted connections at \(target.address).")
            return false
        }
        if isNews { log.info("the command has ended with \(exitCode); draining") }
        stop()
    }

    /// It has become known that this cannot go on.
    private func fail(_ failure: Failure) {
        state.withLockedValue { $0.failure = $0.failure ?? failure }
        log.error("draining: \(failure.sentence)")
        stop()
    }

    /// No new connections; `publish` goes on when those that there are have ended.
    private func stop() {
        watch.end()
        let (listeners, publishing) = state.withLockedValue { ($0.listeners, $0.publishing) }
        for listener in listeners { listener.close(promise: nil) }
        if listeners.count < definitions.count { publishing?.cancel() }
    }

    /// All is drained. A command gets the signal now: until here it was needed.
    private func finish(_ exitCode: Int32, _ failure: Failure? = nil) async {
        let (command, other) = state.withLockedValue { ($0.command, $0.failure) }
        if let command { await end(command) }
        if let failure = failure ?? other { failure.exit() }
        Log.flush()
        _exit(state.withLockedValue { $0.commandExit } ?? exitCode)
    }

    /// As long as connections may take, it may.
    private func end(_ command: Command) async {
        guard state.withLockedValue({ $0.commandExit == nil }) else { return }
        command.send(state.withLockedValue { $0.ending } ?? SIGTERM)
        let deadline = ContinuousClock.now + .nanoseconds(drainTimeout.nanoseconds)
        var isKilled = false
        while state.withLockedValue({ $0.commandExit == nil }) {
            if !isKilled, ContinuousClock.now > deadline {
                log.warning("the command has not ended in time", metadata: ["drain": "\(drainTimeout)"])
                command.kill()
                isKilled = true
            }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}
