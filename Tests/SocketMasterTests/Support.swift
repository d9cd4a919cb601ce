import Logging
import NIOCore
import NIOEmbedded
import Testing
import Yamux

@testable import SocketMaster

extension ByteBuffer {
    var bytes: [UInt8] { Array(readableBytesView) }
}

extension EventLoopFuture {
    /// In virtual time.
    var isFulfilled: Bool {
        var isFulfilled = false
        assumeIsolated().whenComplete { _ in isFulfilled = true }
        return isFulfilled
    }
}

/// Bytes that differ from place to place.
func pattern(_ count: Int, seed: UInt8 = 1) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) &+ seed }
}

/// What an application sees of one connection.
final class Recorder: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    var received: [UInt8] = []
    var events: [String] = []
    var writability: [Bool] = []
    /// Answers every read with the same bytes, and the client's end with ours.
    var echoes = false

    func channelActive(context: ChannelHandlerContext) {
        events.append("active")
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Self.unwrapInboundIn(data)
        received += bytes.bytes
        if echoes { context.writeAndFlush(Self.wrapOutboundOut(bytes), promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            events.append("input closed")
            if echoes { context.close(mode: .output, promise: nil) }
        case ChannelEvent.outputClosed: events.append("output closed")
        default: break
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        writability.append(context.channel.isWritable)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { events.append("error \(error)") }

    func channelInactive(context: ChannelHandlerContext) { events.append("inactive") }
}

/// An application that takes what the test lets it take.
final class TestAcceptor: StreamAcceptor {
    var channel: (any Channel)? { nil }
    var isWilling = true
    var prepare: (StreamChannel, Recorder) throws -> Void = { _, _ in }
    var accepted: [(stream: StreamChannel, recorder: Recorder)] = []

    func initialize(_ stream: StreamChannel, of session: SessionHandler) {
        let recorder = Recorder()
        do {
            try stream.pipeline.syncOperations.addHandler(recorder)
            try prepare(stream, recorder)
        } catch {
            return session.initializationFailed(stream, error)
        }
        accepted.append((stream, recorder))
        _ = session.untaken.remove()
        session.initialized(stream)
    }

    func passOn(from session: SessionHandler) {}
}

/// A session in virtual time, with a proxy on its other side.
final class Fixture {
    let loop: EmbeddedEventLoop
    let channel: EmbeddedChannel
    let handler: SessionHandler
    let acceptor = TestAcceptor()
    var proxy = TestProxy()
    private let log: EventLog

    /// What the session has told its listener.
    var events: [String] { log.events }

    private final class EventLog: @unchecked Sendable {
        var events: [String] = []
    }

    /// - Parameter acceptor: who gets the streams instead of `TestAcceptor`.
    init(_ settings: SessionSettings = SessionSettings(), acceptor: (any StreamAcceptor)? = nil) throws {
        let log = EventLog()
        self.log = log
        handler = SessionHandler(settings: settings, acceptor: acceptor ?? self.acceptor, log: Logger(label: "test")) {
            event in
            log.events.append("\(event)")
        }
        channel = EmbeddedChannel(handler: handler)
        loop = channel.embeddedEventLoop
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 9999)).wait()
        exchange()
        proxy.frames.removeAll()
    }

    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

    /// Lets the session act, and the proxy take what it sends. The proxy answers pings.
    func exchange() {
        var isQuiet = false
        while !isQuiet {
            isQuiet = true
            loop.run()
            while let bytes = try? channel.readOutbound(as: ByteBuffer.self) {
                isQuiet = false
                proxy.receive(bytes.bytes)
            }
            let answers = proxy.takeAnswers()
            if !answers.isEmpty {
                isQuiet = false
                deliver(answers)
            }
        }
    }

    /// Gives the session bytes, as one read of its connection.
    func deliver(_ bytes: [UInt8]) {
        _ = try? channel.writeInbound(ByteBuffer(bytes: bytes))
    }

    func send(_ frames: [UInt8]...) {
        deliver(frames.flatMap { $0 })
        exchange()
    }

    /// Opens a stream with these bytes and returns what the application has of it.
    func open(_ bytes: [UInt8] = []) throws -> (id: UInt32, stream: StreamChannel, recorder: Recorder) {
        let count = acceptor.accepted.count
        let id = proxy.nextID
        send(proxy.open(bytes))
        try #require(acceptor.accepted.count == count + 1)
        return (id, acceptor.accepted[count].stream, acceptor.accepted[count].recorder)
    }

    /// In steps, so that the proxy's answers come in time.
    func advance(by time: TimeAmount) {
        var left = time
        while left > .zero {
            let step = min(left, .seconds(1))
            loop.advanceTime(by: step)
            exchange()
            left = left - step
        }
    }
}
