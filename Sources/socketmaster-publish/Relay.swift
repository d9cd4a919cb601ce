internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import SocketMaster

/// Passes the bytes of two channels on to each other, both of them on one event loop: reads follow the other's
/// writability, an end is passed on after the bytes before it, and a reset as a reset.
final class Relay: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How this side is reset.
    enum Side {
        case client
        case target
    }

    private let side: Side
    private var context: ChannelHandlerContext?
    private var other: Relay?
    private var isReadHeld = false
    private var hasEnded = false
    /// Our end has been passed on to it.
    private var isFinished = false
    /// It is we who close it.
    private var isClosed = false

    private init(_ side: Side) { self.side = side }

    /// Two that belong together.
    static func pair() -> (client: Relay, target: Relay) {
        let pair = (client: Relay(.client), target: Relay(.target))
        pair.client.other = pair.target
        pair.target.other = pair.client
        return pair
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        other = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        other?.context?.write(data, promise: nil)
    }

    func channelReadComplete(context: ChannelHandlerContext) { other?.context?.flush() }

    func read(context: ChannelHandlerContext) {
        if let other, other.isFull { isReadHeld = true } else { context.read() }
    }

    /// It has no channel yet, or as much as it can take.
    private var isFull: Bool { !(context?.channel.isWritable ?? false) }

    func channelActive(context: ChannelHandlerContext) {
        other?.readOn()
        context.fireChannelActive()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable { other?.readOn() }
    }

    private func readOn() {
        guard isReadHeld else { return }
        isReadHeld = false
        context?.read()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            hasEnded = true
            other?.context?.close(mode: .output, promise: nil)
        case ChannelEvent.outputClosed: isFinished = true
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        other?.reset()
        close()
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Its end would have been told before, unless it was the last there was to wait for. A reset that a write has
        // met is told by nothing else.
        if !hasEnded, !isFinished, !isClosed { other?.reset() }
        // After both ends the other one closes by itself, when it has sent what it still has.
        if !hasEnded || other?.hasEnded != true { other?.close() }
    }

    private func close() {
        isClosed = true
        context?.close(promise: nil)
    }

    private func reset() {
        guard let context, !isClosed else { return }
        isClosed = true
        switch side {
        case .client: context.triggerUserOutboundEvent(ResetConnection(), promise: nil)
        case .target:
            // Whoever closes with a linger of 0 resets.
            (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                .whenComplete { _ in }
            context.close(promise: nil)
        }
    }
}
