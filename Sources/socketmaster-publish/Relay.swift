internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import SocketMaster

/// Passes the bytes of two channels on to each other, both of them on one event loop: reads follow the other's
/// writability, an end is passed on after the bytes before it, and a reset as a reset.
///
/// Where it carries requests, a target that ends the connection may have died. Whether it has is found out first, so
/// that the proxy does not ask it again; and the end of one that has not answered at all is passed on as a reset: an
/// empty reply is none.
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
    /// Kept on the target's side.
    private var turn = Turn.nobody
    private let targetLook: TargetLook?
    private var looking = Looking.notYet

    /// Looks whether the target is still there, which has ended the connection while the client waited for it, or not.
    /// Fulfilled when the end may be passed on; nothing if it may be at once.
    typealias TargetLook = (_ isAwaited: Bool) -> EventLoopFuture<Void>?

    /// Whose words are awaited.
    private enum Turn {
        /// Nobody has said anything.
        case nobody
        /// The client has spoken last, and waits for the first words of the target or for later ones.
        case target(isFirst: Bool)
        case client
    }

    private enum Looking {
        case notYet
        /// What is passed on when it is known, and whether the channel has become inactive meanwhile.
        case now(end: (Relay) -> Void, isGone: Bool)
        case done
    }

    private init(_ side: Side, _ targetLook: TargetLook?) {
        self.side = side
        self.targetLook = targetLook
    }

    /// The target's side.
    /// - Parameter targetLook: For one that carries requests.
    convenience init(toTarget targetLook: TargetLook?) { self.init(.target, targetLook) }

    /// The client's side for this one, as soon as the target has taken the connection.
    func makeOther() -> Relay {
        let client = Relay(.client, nil)
        client.other = self
        other = client
        return client
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        // Whoever looks still needs it.
        if case .now = looking { return }
        other = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (side, turn) {
        case (.target, _): turn = .client
        case (.client, _): other?.clientHasSpoken()
        }
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
            passEndOn { $0.context?.close(mode: .output, promise: nil) }
        case ChannelEvent.outputClosed: isFinished = true
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        passEndOn { $0.reset() }
        close()
    }

    private func clientHasSpoken() {
        switch turn {
        case .nobody: turn = .target(isFirst: true)
        case .client: turn = .target(isFirst: false)
        case .target: break
        }
    }

    /// Passes the end of this side on to the other one, at once or when it is known what has become of the target.
    private func passEndOn(_ end: @escaping (Relay) -> Void) {
        guard let other else { return }
        switch looking {
        case .now(_, let isGone): looking = .now(end: end, isGone: isGone)
        case .done: end(other)
        case .notYet:
            var (isAwaited, isFirst) = (false, false)
            if case .target(let first) = turn { (isAwaited, isFirst) = (true, first) }
            guard let look = targetLook?(isAwaited) else { return end(other) }
            looking = .now(end: isFirst ? { $0.reset() } : end, isGone: false)
            look.assumeIsolated().whenComplete { _ in self.haveLooked() }
        }
    }

    private func haveLooked() {
        guard case .now(let end, let isGone) = looking, let other else { return }
        looking = .done
        end(other)
        guard isGone else { return }
        closeOther()
        self.other = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Its end would have been told before, unless it was the last there was to wait for. A reset that a write has
        // met is told by nothing else.
        if !hasEnded, !isFinished, !isClosed { passEndOn { $0.reset() } }
        if case .now(let end, _) = looking { looking = .now(end: end, isGone: true) } else { closeOther() }
    }

    /// After both ends the other one closes by itself, when it has sent what it still has.
    private func closeOther() {
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
