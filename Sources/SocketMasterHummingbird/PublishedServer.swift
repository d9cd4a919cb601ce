#if Hummingbird
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import SocketMaster

/// The server of the application, as its group of services runs it: Hummingbird's `Server`, but for the socket.
struct PublishedServer<Child: ServerChildChannel>: Service {
    let publication: Publication
    let child: Child
    let group: any EventLoopGroup
    let configuration: ApplicationConfiguration
    let log: Logger
    let prepare: [@Sendable () async throws -> Void]
    let onServerRunning: @Sendable (any Channel) async -> Void

    func run() async throws {
        for process in prepare { try await process() }
        guard let server = try await listen() else { return }
        let child = child
        let log = log
        try await withGracefulShutdownHandler {
            await onServerRunning(server.channel)
            try await server.executeThenClose { connections in
                await withDiscardingTaskGroup { group in
                    for await connection in connections {
                        group.addTask { await child.handle(value: connection, logger: log) }
                    }
                }
            }
        } onGracefulShutdown: {
            server.channel.close(promise: nil)
        }
    }

    /// Returns nil if a graceful shutdown begins before the proxy has said yes.
    private func listen() async throws -> SocketMasterListener<Child.Value>? {
        let child = child
        let log = log
        let delegate = configuration.availableConnectionsDelegate
        // Where connections are counted, one that waits for a next request must not keep another one out.
        let (bootstrap, hasOtherGroup) = publication.bootstrap.adapted(
            group: group, logger: log, reusesStreams: delegate == nil
        ) { listener in
            try listener.pipeline.syncOperations.addHandler(OpenConnections<Child.Value>(delegate: delegate))
        }
        tellWhatIsNotUsed(hasOtherGroup: hasOtherGroup)
        do {
            let server = try await cancelWhenGracefulShutdown {
                try await bootstrap
                    .childChannelOption(.allowRemoteHalfClosure, value: true)
                    .listen(publication.definition) { channel in child.setup(channel: channel, logger: log) }
            }
            log.info("Server started and listening on \(place(server.channel)) by way of the proxy at \(proxy)")
            return server
        } catch {
            guard Task.isShuttingDownGracefully else { throw error }
            return nil
        }
    }

    private var proxy: ControlAddress { publication.bootstrap.proxyAddress }

    /// The port, and which of its requests are ours.
    private func place(_ listener: any Channel) -> String {
        let port = "port \(listener.localAddress?.port ?? publication.definition.port)"
        guard let http = publication.definition.http else { return port }
        let route = http.domainSuffix + http.pathPrefix
        return route.isEmpty ? port : "\(port) for \(route)"
    }

    /// What the application has configured of a socket, which there is none of.
    private func tellWhatIsNotUsed(hasOtherGroup: Bool) {
        let standard = ApplicationConfiguration()
        var unused: [String] = []
        if configuration.address != standard.address { unused.append("address") }
        if configuration.backlog != standard.backlog { unused.append("backlog") }
        if configuration.reuseAddress != standard.reuseAddress { unused.append("reuseAddress") }
        if !unused.isEmpty {
            let names = unused.joined(separator: ", ")
            log.notice("Not used, because the proxy listens in the application's place: \(names) of its configuration")
        }
        if hasOtherGroup, group !== MultiThreadedEventLoopGroup.singleton {
            log.notice("Connections live on the event loops of the SocketMasterBootstrap, not on the application's")
        }
    }
}

extension PublishedServer: CustomStringConvertible {
    /// For the log of the group, as short as that of Hummingbird's server.
    var description: String { "Hummingbird by way of the proxy at \(proxy)" }
}
#endif
