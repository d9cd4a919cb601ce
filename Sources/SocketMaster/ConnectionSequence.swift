import Logging
import NIOCore
import Synchronization

/// The connections of a listener's channel as a sequence that asks for more when some have been taken. When it is let
/// go, or who iterates over it ends, the listener closes: a service that nobody serves does not stay published.
struct ConnectionSequence<Connection: Sendable>: Sendable {
    typealias Strategy = NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark
    typealias Producer = NIOAsyncSequenceProducer<UntakenConnection<Connection>, Strategy, Delegate>

    let sequence: Producer

    /// Asks the channel on behalf of the sequence.
    struct Delegate: NIOAsyncSequenceProducerDelegate, Sendable {
        let channel: any Channel
        let log: Logger

        func produceMore() {
            channel.eventLoop.execute { channel.pipeline.fireUserInboundEventTriggered(WantsConnections()) }
        }

        /// Nobody takes connections any more.
        func didTerminate() {
            if channel.isActive { log.debug("closing, because nobody takes its connections any more") }
            channel.close(promise: nil)
        }
    }

    init(_ channel: any Channel, strategy: Strategy?, log: Logger) throws {
        let made = Producer.makeSequence(
            backPressureStrategy: strategy ?? Strategy(lowWatermark: 2, highWatermark: 10), finishOnDeinit: true,
            delegate: Delegate(channel: channel, log: log))
        sequence = made.sequence
        try channel.pipeline.syncOperations.addHandler(ConnectionSink(made.source))
    }
}

/// Has the listener's channel read on.
private struct WantsConnections: Sendable {}

/// A connection in the sequence. It is reset if it leaves that without having been taken: nobody knows of it. But one
/// whose initializer gives nothing is served by its handlers, whether it is taken or not.
final class UntakenConnection<Connection: Sendable>: Sendable {
    private let initialized: InitializedConnection<Connection>
    private let isTaken = Atomic<Bool>(false)

    init(_ initialized: InitializedConnection<Connection>) { self.initialized = initialized }

    deinit {
        guard Connection.self != Void.self, !isTaken.load(ordering: .acquiring) else { return }
        initialized.abandon()
    }

    func take() -> Connection {
        isTaken.store(true, ordering: .releasing)
        return initialized.output
    }
}

/// Puts what the listener's channel reads into the sequence, and reads on while that is wanted.
private final class ConnectionSink<Connection: Sendable>: ChannelDuplexHandler {
    typealias InboundIn = InitializedConnection<Connection>
    typealias OutboundIn = Never
    typealias OutboundOut = Never

    private let source: ConnectionSequence<Connection>.Producer.Source
    private var isWanted = true
    private var isReadHeld = false

    init(_ source: ConnectionSequence<Connection>.Producer.Source) { self.source = source }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let connection = UntakenConnection(Self.unwrapInboundIn(data))
        if case .stopProducing = source.yield(contentsOf: CollectionOfOne(connection)) { isWanted = false }
    }

    func read(context: ChannelHandlerContext) {
        assert(!isWanted || !isReadHeld, "no read is held while connections are wanted")
        if isWanted { context.read() } else { isReadHeld = true }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is WantsConnections else { return context.fireUserInboundEventTriggered(event) }
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
