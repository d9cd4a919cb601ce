// HTTP with SwiftNIO alone: what the README of the Go program calls a.go and b.go. `http /a "From A"`. SIGTERM lets
// requests that are under way end.
import Dispatch
import Glibc
import NIOCore
import NIOHTTP1
import SocketMaster

let arguments =
    CommandLine.arguments + ["/a", "From A", "8000", "127.0.0.1:9999"].dropFirst(CommandLine.arguments.count - 1)
let (path, text) = (arguments[1], arguments[2])
let definition = SocketDefinition(port: Int(arguments[3]) ?? 8000, http: .init(pathPrefix: path))
let bootstrap = SocketMasterBootstrap(proxy: try ControlAddress(parsing: arguments[4]))

/// Answers every request with the text.
final class Answer: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .end = Self.unwrapInboundIn(data) else { return }
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "\(text.utf8.count)"])
        context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    }
}

let server = try await bootstrap.listen(definition) { channel in
    channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
        try channel.pipeline.syncOperations.addHandler(Answer())
    }
}
signal(SIGTERM, SIG_IGN)
let termination = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .main)
termination.setEventHandler { server.channel.close(promise: nil) }
termination.resume()
try await server.executeThenClose { clients in for try await _ in clients {} }
