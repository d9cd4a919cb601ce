import NIOCore

/// The connections of a listener's channel as a sequence that asks for more when some have been taken.
struct ConnectionSequence: Sendable {
    typealias Strategy = NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark
    typealias Producer = NIOAsyncSequenceProducer<SocketMasterConnection, Strategy, Delegate>

    let sequence: Producer

    /// Asks the channel on behalf of the sequence.
    struct Delegate: NIOAsyncSequenceProducerDelegate, Sendable {
        let channel: any Channel

        func produceMore() {
            channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(WantsConnections()) }
        }

        /// Nobody takes connections any more.
        func didTerminate() { channel.close(promise: nil) }
    }

    /// Has the listener's channel read on.
    struct WantsConnections: Sendable {}

    init(_ channel: any Channel) throws {
        let made = Producer.makeSequence(
            backPressureStrategy: Strategy(lowWatermark: 2, highWatermark: 10), finishOnDeinit: true,
            delegate: Delegate(channel: channel))
        sequence = made.sequence
        try channel.pipeline.syncOperations.addHandler(ConnectionSink(made.source))
    }
}

/// Puts what the listener's channel reads into the sequence, and reads on while that is wanted.
private final class ConnectionSink: ChannelDuplexHandler {
    typealias InboundIn = SocketMasterConnection
    typealias OutboundIn = Never
    typealias OutboundOut = Never

    private let source: ConnectionSequence.Producer.Source
    private var isWanted = true
    private var isReadHeld = false

    init(_ source: ConnectionSequence.Producer.Source) { self.source = source }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .stopProducing = source.yield(contentsOf: CollectionOfOne(Self.unwrapInboundIn(data))) {
            isWanted = false
        }
    }

    func read(context: ChannelHandlerContext) {
        assert(!isWanted || !isReadHeld, "no read is held while connections are wanted")
        if isWanted { context.read() } else { isReadHeld = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ConnectionSequence.WantsConnections else {
            return context.fireUserInboundEventTriggered(event)
        }
        isWanted = true
        if isReadHeld {
            isReadHeld = false
            context.read()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        source.finish()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { source.finish() }
}
