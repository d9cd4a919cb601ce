#if Hummingbird
import HummingbirdCore
import NIOCore
import SocketMaster

/// Stands in the listener's channel before the connections are taken: counts them for the application's delegate, reads
/// no more while that wants none, and tells those that are open of the end.
final class OpenConnections<Connection: Sendable>: ChannelDuplexHandler {
    typealias InboundIn = InitializedConnection<Connection>
    typealias InboundOut = InitializedConnection<Connection>
    typealias OutboundIn = Never
    typealias OutboundOut = Never

    private var delegate: (any AvailableConnectionsDelegate)?
    private var open: [ObjectIdentifier: any Channel] = [:]
    /// They came together with the last one that was wanted.
    private var waiting = CircularBuffer<InitializedConnection<Connection>>()
    private var isReadHeld = false

    init(delegate: (any AvailableConnectionsDelegate)?) { self.delegate = delegate }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let connection = Self.unwrapInboundIn(data)
        guard isAccepting else { return waiting.append(connection) }
        passOn(connection, context)
    }

    private func passOn(_ connection: InitializedConnection<Connection>, _ context: ChannelHandlerContext) {
        let channel = connection.channel
        delegate?.connectionOpened()
        open[ObjectIdentifier(channel)] = channel
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        channel.closeFuture.hop(to: context.eventLoop).whenComplete { _ in
            let (handler, context) = bound.value
            handler.closed(channel, context)
        }
        context.fireChannelRead(Self.wrapInboundOut(connection))
    }

    private func closed(_ channel: any Channel, _ context: ChannelHandlerContext) {
        open[ObjectIdentifier(channel)] = nil
        delegate?.connectionClosed()
        while isAccepting, let connection = waiting.popFirst() {
            passOn(connection, context)
            context.fireChannelReadComplete()
        }
        guard isReadHeld, isAccepting else { return }
        isReadHeld = false
        context.read()
    }

    private var isAccepting: Bool { delegate?.isAcceptingNewConnections() ?? true }

    func read(context: ChannelHandlerContext) {
        guard isAccepting else {
            isReadHeld = true
            return
        }
        context.read()
    }

    /// The proxy knows that no more are taken, and none is on its way.
    func channelInactive(context: ChannelHandlerContext) {
        isReadHeld = false
        // The proxy has been told that they are ours.
        while let connection = waiting.popFirst() { passOn(connection, context) }
        context.fireChannelReadComplete()
        for channel in open.values {
            channel.eventLoop.execute { tellOfTheEnd(channel) }
        }
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { isReadHeld = false }
}

/// Handlers of the application and upgraded connections hear of a graceful shutdown as from Hummingbird's server. The
/// handler that would close an idle HTTP connection does not: what it takes for idle may have a request on its way. The
/// proxy, which has been told, ends those that are.
private func tellOfTheEnd(_ channel: any Channel) {
    let pipeline = channel.pipeline.syncOperations
    if let closing = try? pipeline.handler(type: HTTPConnectionStateHandler.self) {
        try? pipeline.addHandler(EndOfQuiescing(), position: .before(closing))
    }
    channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
}

private final class EndOfQuiescing: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard !(event is ChannelShouldQuiesceEvent) else { return }
        context.fireUserInboundEventTriggered(event)
    }
}
#endif
