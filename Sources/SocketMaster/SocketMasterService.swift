public import NIOCore

#if ServiceLifecycle
public import ServiceLifecycle
#endif

/// A published service as something that runs until it is told to stop. With the package trait `ServiceLifecycle` it is
/// a `Service` of swift-service-lifecycle, and drains when the group shuts down.
///
/// ```swift
/// let web = SocketMasterService(SocketDefinition(port: 8000, http: .init())) { channel in
///     channel.eventLoop.makeCompletedFuture {
///         try channel.pipeline.syncOperations.configureHTTPServerPipeline()
///         try channel.pipeline.syncOperations.addHandler(MyHandler())
///     }
/// }
/// try await ServiceGroup(services: [web], gracefulShutdownSignals: [.sigterm], logger: logger).run()
/// ```
public struct SocketMasterService: Sendable {
    private enum Serving {
        case connections(@Sendable (SocketMasterConnection) async throws -> Void)
        case pipelines(@Sendable (any Channel) -> EventLoopFuture<Void>)
    }

    private let bootstrap: SocketMasterBootstrap
    private let definition: SocketDefinition
    private let serving: Serving

    /// A service whose connections are served by pipelines: HTTP, or any protocol that has handlers.
    /// - Parameters:
    ///   - definition: What is published.
    ///   - bootstrap: How it is.
    ///   - childChannelInitializer: Sets up the channel of a connection.
    public init(
        _ definition: SocketDefinition, bootstrap: SocketMasterBootstrap = .init(),
        childChannelInitializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) {
        self.definition = definition
        self.bootstrap = bootstrap
        serving = .pipelines(childChannelInitializer)
    }

    /// A service whose connections are bytes.
    /// - Parameters:
    ///   - definition: What is published.
    ///   - bootstrap: How it is.
    ///   - body: Serves one connection; each runs in a task of its own.
    public init(
        _ definition: SocketDefinition, bootstrap: SocketMasterBootstrap = .init(),
        body: @escaping @Sendable (SocketMasterConnection) async throws -> Void
    ) {
        self.definition = definition
        self.bootstrap = bootstrap
        serving = .connections(body)
    }

    /// Publishes the service and serves until the task is cancelled or, in a group of services, a graceful shutdown
    /// begins. Returns when all connections have ended.
    /// - Throws: `SocketMasterError` if it could not be published; `CancellationError` if the task was cancelled
    ///   before it was.
    public func run() async throws {
        switch serving {
        case .connections(let body):
            try await run {
                try await bootstrap.listen(definition)
            } serve: {
                await $0.serve(body)
            }
        case .pipelines(let initializer):
            try await run {
                try await bootstrap.listen(definition, childChannelInitializer: initializer)
            } serve: { listener in
                for await _ in listener {}
                await listener.close()
            }
        }
    }

    private func run<Connection: Sendable>(
        listen: @escaping @Sendable () async throws -> SocketMasterListener<Connection>,
        serve: (SocketMasterListener<Connection>) async -> Void
    ) async throws {
        #if ServiceLifecycle
        let listener: SocketMasterListener<Connection>
        do {
            listener = try await cancelWhenGracefulShutdown { try await listen() }
        } catch {
            // It has waited for its proxy until the group ended.
            guard error is CancellationError, Task.isShuttingDownGracefully else { throw error }
            return
        }
        await withGracefulShutdownHandler {
            await serve(listener)
        } onGracefulShutdown: {
            listener.channel.close(promise: nil)
        }
        #else
        await serve(try await listen())
        #endif
    }
}

extension SocketMasterService: CustomStringConvertible {
    /// For the log of a group of services: where it is published, without its certificate.
    public var description: String {
        "SocketMasterService(port \(definition.port) at \(bootstrap.proxyAddress))"
    }
}

#if ServiceLifecycle
extension SocketMasterService: Service {}
#endif
