// The service of the measurements: takes bytes, sends bytes, or is an application of Hummingbird, behind a proxy or on a
// port of its own.
import Logging
import NIOCore
import NIOPosix
import SocketMaster

#if Hummingbird
import Hummingbird
import SocketMasterHummingbird
#endif

/// Counts what comes.
final class Discard: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}

/// Sends as long as somebody takes it.
final class Source: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let piece = ByteBuffer(repeating: 7, count: 256 << 10)

    func channelActive(context: ChannelHandlerContext) { send(context) }

    func channelWritabilityChanged(context: ChannelHandlerContext) { send(context) }

    private func send(_ context: ChannelHandlerContext) {
        while context.channel.isWritable { context.writeAndFlush(Self.wrapOutboundOut(piece), promise: nil) }
    }
}

func fail(_ sentence: String) -> Never { preconditionFailure(sentence) }

let arguments = CommandLine.arguments
guard arguments.count == 4, let port = Int(arguments[2]) else { fail("MODE PORT PROXY") }
let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

switch arguments[1] {
case "discard", "source":
    let isSource = arguments[1] == "source"
    let bootstrap = SocketMasterBootstrap(group: group, proxy: try ControlAddress(parsing: arguments[3]))
    let server = try await bootstrap.listen(SocketDefinition(port: port)) { channel in
        channel.eventLoop.makeCompletedFuture {
            if isSource {
                try channel.pipeline.syncOperations.addHandler(Source())
            } else {
                try channel.pipeline.syncOperations.addHandler(Discard())
            }
        }
    }
    try await server.executeThenClose { clients in
        for try await _ in clients {}
    }
#if Hummingbird
case "hello-own", "hello-proxy":
    let router = Router()
    router.get("/") { _, _ in "Hello\n" }
    let app = Application(
        router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)),
        eventLoopGroupProvider: .shared(group), logger: .init(label: "hello"))
    if arguments[1] == "hello-own" {
        try await app.runService()
    } else {
        let bootstrap = SocketMasterBootstrap(group: group, proxy: try ControlAddress(parsing: arguments[3]))
        try await app.serve(on: .socketMaster(SocketDefinition(port: port), bootstrap: bootstrap))
    }
#endif
default: fail("there is no mode \(arguments[1])")
}
