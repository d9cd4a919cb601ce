#if Hummingbird
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOWebSocket

/// HTTP/1.1, and WebSockets that say what they hear: built from SwiftNIO's parts, as hummingbird-websocket is.
struct WebSocketEcho: HTTPChannelHandler {
    typealias Requests = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
    typealias Frames = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

    enum Kind: Sendable {
        case requests(Requests)
        case frames(Frames)
    }

    struct Value: ServerChildChannelValue {
        let kind: EventLoopFuture<Kind>
        let channel: any Channel
    }

    let responder: Responder
    let handlers: @Sendable () -> [any RemovableChannelHandler]

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let handlers = handlers
        let upgrader = NIOTypedWebSocketServerUpgrader<Kind>(
            shouldUpgrade: { channel, head in channel.eventLoop.makeSucceededFuture(head.uri == "/echo" ? [:] : nil) },
            upgradePipelineHandler: { channel, _ in
                channel.eventLoop.makeCompletedFuture { .frames(try Frames(wrappingChannelSynchronously: channel)) }
            })
        return channel.eventLoop.makeCompletedFuture {
            var configuration = NIOUpgradableHTTPServerPipelineConfiguration<Kind>(
                upgradeConfiguration: .init(upgraders: [upgrader]) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
                        try pipeline.addHandlers(handlers())
                        try pipeline.addHandler(HTTPConnectionStateHandler(logger: logger))
                        return .requests(
                            try Requests(
                                wrappingChannelSynchronously: channel,
                                configuration: .init(isOutboundHalfClosureEnabled: true)))
                    }
                })
            configuration.enablePipelining = false
            configuration.enableErrorHandling = false
            let kind = try channel.pipeline.syncOperations.configureUpgradableHTTPServerPipeline(
                configuration: configuration)
            return Value(kind: kind, channel: channel)
        }
    }

    func handle(value: Value, logger: Logger) async {
        do {
            switch try await value.kind.get() {
            case .requests(let channel): await handleHTTP(asyncChannel: channel, logger: logger)
            case .frames(let channel):
                try await channel.executeThenClose { inbound, outbound in
                    for try await frame in inbound where frame.opcode == .text {
                        try await outbound.write(.init(fin: true, opcode: .text, data: frame.unmaskedData))
                    }
                }
            }
        } catch {
            logger.debug("a connection has ended", metadata: ["error": "\(error)"])
        }
    }
}

extension HTTPServerBuilder {
    static func http1WithEcho(
        handlers: @autoclosure @escaping @Sendable () -> [any RemovableChannelHandler]
    ) -> HTTPServerBuilder {
        .init { responder in WebSocketEcho(responder: responder, handlers: handlers) }
    }
}
#endif
