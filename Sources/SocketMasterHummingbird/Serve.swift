#if Hummingbird
public import Hummingbird
public import HummingbirdCore
import Logging
import NIOHTTP1
import NIOCore
import ServiceLifecycle
public import SocketMaster
public import UnixSignals

/// Where an application is served: not on a port of its own, but behind a proxy.
public struct Publication: Sendable {
    let definition: SocketDefinition
    let bootstrap: SocketMasterBootstrap

    /// What a proxy listens on for the application.
    /// - Parameters:
    ///   - definition: Port, host and path, certificate. Without `http` it gets HTTP of every host and path.
    ///   - bootstrap: Which proxy, and how it is spoken to. Without event loops or a logger of its own it has those of
    ///     the application.
    public static func socketMaster(
        _ definition: SocketDefinition, bootstrap: SocketMasterBootstrap = .init()
    ) -> Publication {
        var definition = definition
        if definition.http == nil { definition.http = .init() }
        return Publication(definition: definition, bootstrap: bootstrap)
    }
}

/// An application cannot be served behind a proxy as it is: what is in the way, and how to mend it.
public struct PublicationRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    /// A sentence for people.
    public let description: String
}

extension ApplicationProtocol {
    /// Serves the application behind a proxy, what `runService()` is for a port of its own: by its own server, with its
    /// channel handlers and upgrades, its event loops, its logger and its services. Returns when a graceful shutdown
    /// has let the requests under way end.
    /// - Parameters:
    ///   - publication: What the proxy listens on.
    ///   - gracefulShutdownSignals: What begins a graceful shutdown.
    /// - Throws: `PublicationRefusal` if the application's server speaks TLS or HTTP/2, `SocketMasterError` if it could
    ///   not be published, and what a service of the application throws.
    public func serve(
        on publication: Publication, gracefulShutdownSignals: [UnixSignal] = [.sigterm, .sigint]
    ) async throws {
        try await serve(on: publication, by: server, endedBy: gracefulShutdownSignals)
    }

    /// Serves the application behind a proxy by HTTP/1.1, whatever server it is built with.
    /// - Parameters:
    ///   - publication: What the proxy listens on.
    ///   - http: The limits of the HTTP decoder, and channel handlers.
    ///   - gracefulShutdownSignals: What begins a graceful shutdown.
    /// - Throws: `SocketMasterError` if it could not be published, and what a service of the application throws.
    public func serve(
        on publication: Publication, http: HTTP1Channel.Configuration,
        gracefulShutdownSignals: [UnixSignal] = [.sigterm, .sigint]
    ) async throws {
        try await serve(on: publication, by: .http1(configuration: http), endedBy: gracefulShutdownSignals)
    }

    private func serve(
        on publication: Publication, by builder: HTTPServerBuilder, endedBy signals: [UnixSignal]
    ) async throws {
        let child = try builder.childChannel(
            group: eventLoopGroup, logger: logger, responder: answer(by: try await responder))
        let group = ServiceGroup(
            configuration: .init(
                services: services + [server(for: child, publication)], gracefulShutdownSignals: signals,
                logger: logger))
        try await group.run()
    }

    private func server<Child: ServerChildChannel>(for child: Child, _ publication: Publication) -> any Service {
        PublishedServer(
            publication: publication, child: child, group: eventLoopGroup, configuration: configuration, log: logger,
            prepare: processesRunBeforeServerStart, onServerRunning: onServerRunning)
    }

    /// What Hummingbird's own server does with a request.
    private func answer(by responder: Responder) -> HTTPChannelHandler.Responder {
        let dates = HTTPDate()
        let log = logger
        let serverName = configuration.serverName
        return { request, writer, channel in
            var log = log
            log[metadataKey: "hb.request.id"] = .stringConvertible(RequestID())
            let response = try await withLogger(log) { log in
                var response: Response
                do {
                    let context = Responder.Context(source: .init(channel: channel, logger: log))
                    response = try await responder.respond(to: request, context: context)
                } catch let error as HTTPParserError {
                    throw error
                } catch {
                    log.debug("Unrecognised Error", metadata: ["error.type": "\(error)"])
                    response = Response(status: .internalServerError)
                }
                response.headers[.date] = dates.now()
                if let serverName { response.headers[.server] = serverName }
                return response
            }
            do {
                try await writer.write(response: response.head, body: response.body)
            } catch is HTTPParserError {
                // As such it would have another reply written behind the one that has begun.
                throw ChannelError.inputClosed
            }
        }
    }
}
#endif
