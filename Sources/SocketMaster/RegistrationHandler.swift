import NIOCore
import Registration

/// What a proxy has answered to a registration that it accepts.
struct AcceptedRegistration: Sendable {
    /// None if the proxy does not know of them.
    var attributes: [String: String]
    let session: SessionReference
}

/// A session, for who is not on its event loop.
struct SessionReference: Sendable {
    let channel: any Channel
    let untaken: UntakenStreams
    fileprivate let handler: NIOLoopBound<SessionHandler>

    init(_ handler: SessionHandler, channel: any Channel) {
        self.channel = channel
        untaken = handler.untaken
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    /// Streams that wait may be accepted again.
    func wake() {
        let handler = handler
        handler.eventLoop.execute {
            handler.value.acceptQueued()
        }
    }

    /// - Returns: Fulfilled when the drain has begun, and with it the last connection has been passed on.
    @discardableResult
    func drain(timeout: TimeAmount) -> EventLoopFuture<Void> {
        let handler = handler
        return handler.eventLoop.submit { handler.value.drain(timeout: timeout) }
    }

    /// - Returns: Fulfilled when the proxy knows that no more streams are wanted.
    func withdraw() -> EventLoopFuture<Void> {
        let handler = handler
        let loop = handler.eventLoop
        return loop.flatSubmit { handler.value.withdraw() ?? loop.makeSucceededVoidFuture() }
    }

    /// - Returns: Fulfilled when what the application has not seen has been given back.
    func giveBack() -> EventLoopFuture<Void> {
        let handler = handler
        return handler.eventLoop.submit { handler.value.giveBack() }
    }
}

/// Why a registration came to nothing.
enum RegistrationFailure: Error {
    /// The proxy's sentence.
    case refused(String)
    /// It does not know of attributes: without them it may understand.
    case attributesUnknown
    /// It closed the connection instead of an answer. One that does not know of attributes may do so: it takes them for
    /// frames.
    case closed(cause: (any Error)? = nil)
    case notUnderstood(String)
    /// It does not tell clients' addresses, which the service has to know.
    case clientAddressUnknown
    case broken(String, cause: (any Error)? = nil)
}

/// Registers on a new connection, and puts the session in its own place once the proxy has said yes.
final class RegistrationHandler {
    /// How long the proxy may take to answer.
    static let timeout = TimeAmount.seconds(10)
    /// How long after its yes attributes may take to follow. They travel in the same segment.
    static let attributesTimeout = TimeAmount.seconds(1)

    /// Until it has been sent.
    private var registration: SecretBytes?
    private let makeSession: ([String: String]?) -> SessionHandler?
    private var promise: EventLoopPromise<AcceptedRegistration>?
    private var decoder: RegistrationResponseDecoder
    /// By which something else may be recognised.
    private var firstBytes: [UInt8] = []
    private var deadline: Scheduled<Void>?
    private var attributesDeadline: Scheduled<Void>?

    /// - Parameter makeSession: makes the session's handler out of the response's attributes, or nothing if
    ///   they are not what the service needs.
    init(
        registration: SecretBytes, hasAttributes: Bool, promise: EventLoopPromise<AcceptedRegistration>,
        makeSession: @escaping ([String: String]?) -> SessionHandler?
    ) {
        self.registration = registration
        self.promise = promise
        self.makeSession = makeSession
        decoder = RegistrationResponseDecoder(expectsAttributes: hasAttributes)
    }
}

extension RegistrationHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelActive(context: ChannelHandlerContext) {
        assert(registration != nil && deadline == nil, "a connection registers once")
        if let bytes = registration?.exposed {
            context.writeAndFlush(Self.wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes)), promise: nil)
        }
        registration = nil
        deadline = failure(.broken("it does not answer"), after: Self.timeout, context)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard promise != nil else { return context.fireChannelRead(data) }
        var bytes = Self.unwrapInboundIn(data)
        if firstBytes.count < 5 { firstBytes += bytes.readableBytesView.prefix(5 - firstBytes.count) }
        let count = decoder.receive(bytes.readableBytesUInt8Span)
        bytes.moveReaderIndex(forwardBy: count)
        switch decoder.state {
        case .needsMore:
            assert(bytes.readableBytes == 0, "all that has come belongs to the answer")
            guard decoder.isAccepted, attributesDeadline == nil else { return }
            attributesDeadline = failure(.attributesUnknown, after: Self.attributesTimeout, context)
        case .broken(let refusal):
            fail(decoder.isAccepted ? .attributesUnknown : .notUnderstood(reason(refusal)), context)
        case .complete(let response):
            guard response.isAccepted else { return fail(.refused(response.status.withoutKeys), context) }
            succeed(response, context)
            if bytes.readableBytes > 0 { context.fireChannelRead(Self.wrapInboundOut(bytes)) }
            context.pipeline.syncOperations.removeHandler(self, promise: nil)
        }
    }

    /// As a clause.
    private func reason(_ refusal: RegistrationRefusal) -> String {
        if firstBytes.elementsEqual("HTTP/".utf8) { return "it speaks HTTP" }
        let sentence = "\(refusal)"
        return sentence.hasSuffix(".") ? String(sentence.dropLast()) : sentence
    }

    private func succeed(_ response: RegistrationResponse, _ context: ChannelHandlerContext) {
        assert(registration == nil && promise != nil, "an answer comes behind its question, and once")
        guard let handler = makeSession(response.attributes) else { return fail(.clientAddressUnknown, context) }
        do {
            try context.pipeline.syncOperations.addHandler(handler, position: .after(self))
        } catch {
            return fail(.broken("\(error)", cause: error), context)
        }
        let session = SessionReference(handler, channel: context.channel)
        end()?.succeed(AcceptedRegistration(attributes: response.attributes ?? [:], session: session))
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(decoder.isAccepted ? .attributesUnknown : .closed(), context)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(decoder.isAccepted ? .attributesUnknown : .closed(cause: error), context)
        context.fireErrorCaught(error)
    }

    private func failure(
        _ failure: RegistrationFailure, after timeout: TimeAmount, _ context: ChannelHandlerContext
    ) -> Scheduled<Void> {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        return context.eventLoop.scheduleTask(in: timeout) {
            let (handler, context) = bound.value
            handler.fail(failure, context)
        }
    }

    private func fail(_ failure: RegistrationFailure, _ context: ChannelHandlerContext) {
        guard let promise = end() else { return }
        promise.fail(failure)
        context.close(promise: nil)
    }

    private func end() -> EventLoopPromise<AcceptedRegistration>? {
        deadline?.cancel()
        attributesDeadline?.cancel()
        defer { promise = nil }
        return promise
    }
}
