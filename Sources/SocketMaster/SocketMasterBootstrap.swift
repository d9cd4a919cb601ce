public import Logging
public import NIOCore
import NIOPosix
import Registration

/// Publishes a service through a proxy instead of binding a port: what `ServerBootstrap` is for a socket.
///
/// ```swift
/// let server = try await SocketMasterBootstrap().listen(SocketDefinition(port: 9000)) { channel in
///     channel.eventLoop.makeCompletedFuture {
///         try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
///     }
/// }
/// try await server.executeThenClose { connections in
///     for await connection in connections { /* as with any other server */ }
/// }
/// ```
///
/// The listener stays when the proxy goes: it registers again as soon as there is one. It ends when its channel is
/// closed, and in good order: no new connections, those that are under way may end within
/// `SocketMasterConfiguration.drainTimeout`, then the close is complete.
public struct SocketMasterBootstrap: Sendable {
    /// The release of this library.
    public static var version: String { Version.text }

    /// Nothing if the service has not chosen one.
    private var group: (any EventLoopGroup)?
    private var logger: Logger?
    private let proxy: ControlAddress
    private var configuration: SocketMasterConfiguration
    private var options: ChannelOptions.Storage?
    private var initializeListener: (@Sendable (any Channel) throws -> Void)?

    /// - Parameters:
    ///   - group: The event loops that sessions, and the connections by way of them, live on. Without it NIO's own.
    ///   - proxy: Where the proxy takes registrations.
    ///   - configuration: How many sessions, how long things may take; the defaults fit most services.
    ///   - logger: Gets what happens to the sessions. Without one nobody does.
    public init(
        group: (any EventLoopGroup)? = nil, proxy: ControlAddress = .standard,
        configuration: SocketMasterConfiguration = .init(), logger: Logger? = nil
    ) {
        self.group = group
        self.proxy = proxy
        self.configuration = configuration
        self.logger = logger
    }

    /// Sets an option on the channel of every connection before its initializer runs.
    public func childChannelOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> Self {
        var copy = self
        var options = options ?? ChannelOptions.Storage()
        options.append(key: option, value: value)
        copy.options = options
        return copy
    }

    /// For a framework whose application has event loops and a logger: they are used where the service has chosen none.
    /// - Parameters:
    ///   - reusesStreams: Whether a stream may stay open for another request, if the service has nothing against it.
    ///   - initializeListener: Adds handlers to the listener's channel, before any that take its connections.
    /// - Returns: The bootstrap, and whether its event loops are others than these.
    package func adapted(
        group: any EventLoopGroup, logger: Logger, reusesStreams: Bool,
        initializeListener: @escaping @Sendable (any Channel) throws -> Void
    ) -> (bootstrap: SocketMasterBootstrap, hasOtherGroup: Bool) {
        var copy = self
        copy.group = self.group ?? group
        copy.logger = self.logger ?? logger
        copy.configuration.reusesStreams = configuration.reusesStreams && reusesStreams
        copy.initializeListener = initializeListener
        return (copy, copy.group !== group)
    }

    /// Where the service is registered.
    package var proxyAddress: ControlAddress { proxy }

    private var log: Logger { logger ?? Logger(label: "SocketMaster") { _ in SwiftLogNoOpLogHandler() } }

    /// Publishes a service. Returns when clients can reach it.
    /// - Parameters:
    ///   - definition: Port, host and path, certificate. It is checked before anything is sent.
    ///   - serverBackPressureStrategy: How many connections wait in the sequence before no more are accepted.
    ///   - childChannelInitializer: Sets up the channel of a connection. What it gives is what the sequence brings.
    /// - Returns: The connections. Let go, it closes: keep it for as long as the service is to be reached.
    /// - Throws: `SocketMasterError`; `CancellationError` if the task is cancelled meanwhile.
    public func listen<Output: Sendable>(
        _ definition: SocketDefinition,
        serverBackPressureStrategy: NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark? = nil,
        childChannelInitializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws -> SocketMasterListener<Output> {
        try await start(definition, strategy: serverBackPressureStrategy, initializer: childChannelInitializer)
    }

    /// Publishes a service whose connections are wanted as they are, without pipelines.
    /// - Throws: `SocketMasterError`; `CancellationError` if the task is cancelled meanwhile.
    public func listen(_ definition: SocketDefinition) async throws -> SocketMasterListener<SocketMasterConnection> {
        try await start(definition, strategy: nil, initializer: SocketMasterConnection.initialize)
    }

    /// Publishes a service for as long as a function runs. When that returns or throws, the listener closes in good
    /// order, and this waits for it: for `SocketMasterConfiguration.drainTimeout` at most, also in a task that has been
    /// cancelled.
    ///
    /// ```swift
    /// try await SocketMasterBootstrap().withListener(SocketDefinition(port: 9000)) { listener in
    ///     for await connection in listener { /* ... */ }
    /// }
    /// ```
    /// - Throws: `SocketMasterError` if the service could not be published, and what the function throws.
    public func withListener<Result>(
        _ definition: SocketDefinition, isolation actor: isolated (any Actor)? = #isolation,
        _ body: (SocketMasterListener<SocketMasterConnection>) async throws -> sending Result
    ) async throws -> sending Result {
        try await listen(definition).executeThenClose(isolation: actor, body)
    }

    private func start<Output: Sendable>(
        _ definition: SocketDefinition, strategy: ConnectionSequence<Output>.Strategy?,
        initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) async throws -> SocketMasterListener<Output> {
        let group = group ?? MultiThreadedEventLoopGroup.singleton
        var checked = Registrar(address: proxy, definition: definition, configuration: configuration, log: log)
        try checked.wholeDefinition.validate()
        checked.metrics = ServiceMetrics(service: definition.title(configuration), port: definition.port)
        let registrar = checked
        let log = registrar.log
        let loop = group.next()
        let pool = SessionPool(eventLoop: loop, group: group, registrar: registrar, log: log)
        let listener = ListenerChannel<Output>(
            eventLoop: loop, shutDown: { pool.shutDown(quiet: $0, ended: $1) },
            setWithdrawn: { pool.setWithdrawn($0, promise: $1) })
        let options = options
        let initializeListener = initializeListener
        let connections = try await loop.submit {
            try initializeListener?(listener)
            return try ConnectionSequence<Output>(listener, strategy: strategy, log: log)
        }.get()
        let hooks = SessionPool.Hooks(
            makeAcceptor: { SessionAcceptor(listener: listener, options: options, initializer: initializer) },
            added: { session in listener.addSession(session.untaken, wake: session.wake) },
            removed: { session in listener.removeSession(session.untaken) },
            registered: { attributes in
                let address = registrar.publicAddress(attributes)
                listener.setAddress(address)
                listener.activate(address: address)
            })
        try await withTaskCancellationHandler {
            do {
                try await pool.start(hooks).get()
            } catch {
                try? await listener.close().get()
                // Nobody else can have closed it.
                throw Task.isCancelled ? CancellationError() : error
            }
        } onCancel: {
            listener.close(promise: nil)
        }
        return SocketMasterListener(channel: listener, connections: connections, log: log)
    }
}
