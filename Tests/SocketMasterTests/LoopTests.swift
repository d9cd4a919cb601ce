import NIOCore
import NIOPosix
import Registration
import Synchronization
import Testing

@testable import SocketMaster

/// What a proxy has heard on all of its sessions.
private final class Heard: Sendable {
    let sessions = Atomic<Int>(0)
    let echoes = Atomic<Int>(0)
}

/// The proxy's side of one session on a real socket: it opens streams as soon as it has said yes, and says the same on
/// each of them, in two parts.
private final class OpeningProxy: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    static let streams = 40
    static let said = pattern(20_000)

    private let heard: Heard
    private var decoder = RegistrationDecoder()
    private var proxy = TestProxy()
    private var isRegistered = false
    private var open: Set<UInt32> = []

    init(_ heard: Heard) { self.heard = heard }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = Self.unwrapInboundIn(data)
        if !isRegistered {
            bytes.moveReaderIndex(forwardBy: decoder.receive(bytes.readableBytesUInt8Span))
            guard case .complete = decoder.state else { return }
            register(context)
        }
        proxy.receive(bytes.bytes)
        send(proxy.takeAnswers(), context)
        for id in open where proxy.streams[id]?.isFinished == true {
            open.remove(id)
            #expect(proxy.streams[id]?.received == Self.said)
            heard.echoes.add(1, ordering: .relaxed)
        }
    }

    private func register(_ context: ChannelHandlerContext) {
        isRegistered = true
        heard.sessions.add(1, ordering: .relaxed)
        send(RegistrationResponse(status: "OK", attributes: ["port": "8080", "reactors": "3"]).encoded(), context)
        for _ in 0..<Self.streams {
            open.insert(proxy.nextID)
            send(proxy.open(Array(Self.said[..<1_000])), context)
        }
        for id in open { send(proxy.data(id, Array(Self.said[1_000...])) + proxy.finish(id), context) }
    }

    private func send(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
        guard !bytes.isEmpty else { return }
        context.writeAndFlush(Self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
    }
}

/// Event loops that are threads of their own show what is touched on the wrong one.
@Test func `sessions on several event loops are served at the same time, and end in good order`() async throws {
    let heard = Heard()
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(OpeningProxy(heard))
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    let address = try ControlAddress(parsing: "127.0.0.1:\(channel.localAddress?.port ?? 0)")
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
    let listener = try await SocketMasterBootstrap(group: group, proxy: address).listen(SocketDefinition(port: 0))
    async let served: Void = listener.serve { connection in
        try await connection.executeThenClose { inbound, outbound in
            for try await bytes in inbound { try await outbound.write(bytes) }
        }
    }
    let deadline = ContinuousClock.now + .seconds(60)
    while heard.echoes.load(ordering: .relaxed) < 3 * OpeningProxy.streams, ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(5))
    }
    await listener.close()
    await served
    #expect(heard.sessions.load(ordering: .relaxed) == 3)
    #expect(heard.echoes.load(ordering: .relaxed) == 3 * OpeningProxy.streams)
    try await channel.close()
    try await group.shutdownGracefully()
}
