import NIOCore
public import Registration

#if ServiceLifecycle
public import ServiceLifecycle
#endif

/// A published service as something that runs until it is told to stop. With the package trait `ServiceLifecycle` it is
/// a `Service` of swift-service-lifecycle, and drains when the group shuts down.
public struct SocketMasterService: Sendable {
    private let bootstrap: SocketMasterBootstrap
    private let definition: SocketDefinition
    private let body: @Sendable (SocketMasterConnection) async throws -> Void

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
        self.body = body
    }

    /// Publishes the service and serves until the task is cancelled or, in a group of services, a graceful shutdown
    /// begins. Returns when all connections have ended.
    /// - Throws: `SocketMasterError` if it could not be published.
    public func run() async throws {
        #if ServiceLifecycle
        let listener: SocketMasterListener
        do {
            listener = try await cancelWhenGracefulShutdown { try await bootstrap.listen(definition) }
        } catch {
            // It has waited for its proxy until the group ended.
            guard Task.isShuttingDownGracefully else { throw error }
            return
        }
        await withGracefulShutdownHandler {
            await listener.serve(body)
        } onGracefulShutdown: {
            listener.channel.close(promise: nil)
        }
        #else
        let listener = try await bootstrap.listen(definition)
        await listener.serve(body)
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
