internal import Glibc
internal import Logging
internal import NIOCore
internal import SocketMaster
internal import Synchronization

/// The program's life: start the command, wait for the target, publish it, serve, and end in good order.
final class Publication: Sendable {
    private let definition: SocketDefinition
    private let target: Target
    private let waitsForTarget: Bool
    private let waitTimeout: TimeAmount?
    private let bootstrap: SocketMasterBootstrap
    private let arguments: [String]
    private let log: Logger
    private let drainTimeout: TimeAmount
    private let state = Mutex(State())

    private struct State {
        var command: Command?
        var commandExit: Int32?
        /// The published port, while it is.
        var listener: (any Channel)?
        var publishing: Task<Void, Never>?
        /// The first signal that asked for the end.
        var ending: Int32?
    }

    init(definition: SocketDefinition, target: TargetFlags, proxy: ProxyFlags, command: [String]) throws(Failure) {
        self.definition = definition
        self.target = Target(address: target.to, sendsHeader: target.sendProxy)
        waitsForTarget = target.waitForTarget || !command.isEmpty
        waitTimeout = target.waitTimeout
        arguments = command
        drainTimeout = proxy.drain
        log = Logger(label: "socketmaster-publish")
        var configuration = SocketMasterConfiguration()
        configuration.name = proxy.name
        configuration.sessions = proxy.sessions
        configuration.drainTimeout = proxy.drain
        configuration.waitsForProxy = true
        configuration.wantsClientAddress = target.sendProxy
        bootstrap = SocketMasterBootstrap(proxy: proxy.proxy, configuration: configuration, logger: log)
    }

    /// Does not return: the main thread takes signals until the work is done.
    func run() -> Never {
        do throws(Failure) {
            if !arguments.isEmpty {
                let command = try Command.start(arguments)
                state.withLock { $0.command = command }
            }
        } catch {
            error.exit()
        }
        let publishing = Task { await publish() }
        state.withLock { $0.publishing = publishing }
        while true { received(Signals.wait()) }
    }

    // The work.

    private func publish() async {
        do {
            try await waitForTarget()
            let server = try await listen()
            state.withLock { $0.listener = server.channel }
            // The end may have been asked for in the meantime.
            if state.withLock({ $0.ending != nil || $0.commandExit != nil }) { server.channel.close(promise: nil) }
            try await server.executeThenClose { connections in
                for try await _ in connections {}
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
        let start = ContinuousClock.now
        var isTold = false
        while await !target.isListening() {
            try Task.checkCancellation()
            if let waitTimeout, start.duration(to: .now) > .nanoseconds(waitTimeout.nanoseconds) {
                throw Failure(EX_UNAVAILABLE, "Nothing accepts connections at \(target.address).")
            }
            if !isTold { log.info("waiting for the target", metadata: ["target": "\(target.address)"]) }
            isTold = true
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func listen() async throws -> NIOAsyncChannel<Void, Never> {
        do {
            let target = target
            return try await bootstrap.listen(definition) { channel in target.serve(channel) }
        } catch let error as SocketMasterError {
            switch error {
            case .invalidDefinition: throw Failure(EX_USAGE, error.description)
            case .closed: throw CancellationError()
            case .notUnderstood: throw Failure(EX_PROTOCOL, error.description)
            default: throw Failure(EX_UNAVAILABLE, error.description)
            }
        }
    }

    // The end.

    private func received(_ signal: Int32) {
        let command = state.withLock { $0.commandExit == nil ? $0.command : nil }
        if signal == SIGCHLD { return lookAfterCommand() }
        let isEnding = Signals.ending.contains(signal) || arguments.isEmpty && [SIGHUP, SIGQUIT].contains(signal)
        guard isEnding else {
            command?.send(signal)
            return
        }
        let isFirst = state.withLock { state in
            defer { state.ending = state.ending ?? signal }
            return state.ending == nil
        }
        guard isFirst else {
            command?.kill()
            _exit(128 + signal)
        }
        log.info("draining")
        stop()
    }

    private func lookAfterCommand() {
        guard let command = state.withLock({ $0.command }), let exitCode = command.exitCode() else { return }
        state.withLock { $0.commandExit = exitCode }
        stop()
    }

    /// No new connections; `publish` goes on when those that there are have ended.
    private func stop() {
        let (listener, publishing) = state.withLock { ($0.listener, $0.publishing) }
        if let listener { listener.close(promise: nil) } else { publishing?.cancel() }
    }

    /// All is drained. A command gets the signal now: until here it was needed.
    private func finish(_ exitCode: Int32, _ failure: Failure? = nil) async {
        let command = state.withLock { $0.command }
        if let command { await end(command) }
        if let failure { failure.exit() }
        _exit(state.withLock { $0.commandExit } ?? exitCode)
    }

    /// As long as connections may take, it may.
    private func end(_ command: Command) async {
        guard state.withLock({ $0.commandExit == nil }) else { return }
        command.send(state.withLock { $0.ending } ?? SIGTERM)
        let deadline = ContinuousClock.now + .nanoseconds(drainTimeout.nanoseconds)
        var isKilled = false
        while state.withLock({ $0.commandExit == nil }) {
            if !isKilled, ContinuousClock.now > deadline {
                log.warning("the command has not ended in time", metadata: ["drain": "\(drainTimeout)"])
                command.kill()
                isKilled = true
            }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}
