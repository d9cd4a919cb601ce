// HTTP with SwiftNIO alone, as a.go and b.go of the Go program: `http /a "From A"`. SIGTERM lets requests end.
import Dispatch
import Glibc
import NIOCore
import NIOHTTP1
import SocketMaster

let given = CommandLine.arguments.dropFirst()
let arguments = given + ["/a", "From A", "8000", "127.0.0.1:9999"].dropFirst(given.count)
let text = arguments[2]

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

/// Nil until it is published.
var listener: (any Channel)?

do {
    // Its clients are served as soon as it is published, so SIGTERM has to be waited for before that.
    let termination = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .main)
    termination.setEventHandler {
        MainActor.assumeIsolated {
            guard let listener else { exit(0) }
            listener.close(promise: nil)
        }
    }
    await withCheckedContinuation { registered in
        termination.setRegistrationHandler { registered.resume() }
        termination.resume()
    }
    let definition = SocketDefinition(port: Int(arguments[3]) ?? 8000, http: .init(pathPrefix: arguments[1]))
    let server = try await SocketMasterBootstrap(proxy: .init(parsing: arguments[4])).listen(definition) { channel in
        channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
            try channel.pipeline.syncOperations.addHandler(Answer())
        }
    }
    listener = server.channel
    for await _ in server {}
    await server.close()
} catch {
    print(error)
    exit(1)
}
