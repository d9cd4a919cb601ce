#if Hummingbird
public import Hummingbird
public import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import ServiceLifecycle
public import SocketMaster
import UnixSignals

/// Where an application is served: not on a port of its own, but behind a proxy.
public struct Publication: Sendable {
    let definition: SocketDefinition
    let bootstrap: SocketMasterBootstrap

    /// What a proxy listens on for the application.
    /// - Parameters:
    ///   - definition: Port, host and path, certificate. Without `http` it gets HTTP of every host and path.
    ///   - bootstrap: Which proxy, and how it is spoken to.
    public static func socketMaster(
        _ definition: SocketDefinition, bootstrap: SocketMasterBootstrap = .init()
    ) -> Publication {
        var definition = definition
        if definition.http == nil { definition.http = .init() }
        return Publication(definition: definition, bootstrap: bootstrap)
    }
}

extension ApplicationProtocol {
    /// Serves the application behind a proxy, what `run()` is for a port of its own. Returns when a graceful shutdown
    /// (SIGTERM and SIGINT begin one) has let the requests under way end.
    /// - Parameters:
    ///   - publication: What the proxy listens on.
    ///   - http: The limits of the HTTP decoder, and handlers of the application's own.
    /// - Throws: `SocketMasterError` if it could not be published, and what a service of the application throws.
    public func serve(on publication: Publication, http: HTTP1Channel.Configuration = .init()) async throws {
        let dates = HTTPDate()
        let responder = try await responder
        let log = logger
        let serverName = configuration.serverName
        let child = HTTP1Channel(
            responder: { request, writer, channel in
                var response: Response
                do {
                    let context = Responder.Context(source: .init(channel: channel, logger: log))
                    response = try await responder.respond(to: request, context: context)
                } catch let error as HTTPParserError {
                    throw error
                } catch {
                    log.debug("a request was not answered", metadata: ["error": "\(error)"])
                    response = Response(status: .internalServerError)
                }
                response.headers[.date] = dates.now()
                response.headers[.server] = serverName
                do {
                    try await writer.write(response: response.head, body: response.body)
                } catch is HTTPParserError {
                    // As such it would have another reply written behind the one that has begun.
                    throw ChannelError.inputClosed
                }
            }, configuration: http)
        let server = PublishedServer(
            publication: publication, child: child, log: log, prepare: processesRunBeforeServerStart,
            onServerRunning: onServerRunning)
        let group = ServiceGroup(
            configuration: .init(
                services: services + [server], gracefulShutdownSignals: [.sigterm, .sigint], logger: log))
        try await group.run()
    }
}

/// The server of the application, as its group of services runs it.
private struct PublishedServer<Child: ServerChildChannel>: Service {
    let publication: Publication
    let child: Child
    let log: Logger
    let prepare: [@Sendable () async throws -> Void]
    let onServerRunning: @Sendable (any Channel) async -> Void

    func run() async throws {
        for process in prepare { try await process() }
        let child = child
        let log = log
        let server = try await publication.bootstrap
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .listen(publication.definition) { channel in child.setup(channel: channel, logger: log) }
        try await withGracefulShutdownHandler {
            await onServerRunning(server.channel)
            try await server.executeThenClose { connections in
                try await withThrowingDiscardingTaskGroup { group in
                    for try await connection in connections {
                        group.addTask { await child.handle(value: connection, logger: log) }
                    }
                }
            }
        } onGracefulShutdown: {
            server.channel.close(promise: nil)
        }
    }
}
#endif
