internal import NIOCore

/// Keeps back the head of a target's reply until the first of its body comes, for a moment. Servers that write the two
/// apart may be ended in between, and a head that has been passed on is a promise: the request could not be given to
/// somebody else any more.
///
/// Not HTTP is parsed here, but a head is looked for that ends where the bytes end and promises a body. Whatever else
/// the target says first is passed on at once.
final class HeadHold: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Whoever has written a head has its body at hand, or means to keep the client waiting.
    private static let moment = TimeAmount.milliseconds(10)
    private static let longestHead = 16 << 10

    private var context: ChannelHandlerContext?
    /// The client has spoken last.
    private var isAwaited = false
    /// A reply to HEAD promises a body that does not come.
    private var isBodiless = false
    private var held: ByteBuffer?
    private var release: Scheduled<Void>?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        release?.cancel()
        self.context = nil
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if !isAwaited {
            isAwaited = true
            isBodiless = unwrapOutboundIn(data).readableBytesView.starts(with: "HEAD ".utf8)
        }
        context.write(data, promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if held != nil {
            passOn()
        } else if isAwaited, !isBodiless, case let bytes = unwrapInboundIn(data), Self.promisesBody(bytes) {
            held = bytes
            release = context.eventLoop.assumeIsolated().scheduleTask(in: Self.moment) { self.passOn() }
            return
        }
        isAwaited = false
        context.fireChannelRead(data)
    }

    /// What has been held is the beginning of a reply after all.
    private func passOn() {
        release?.cancel()
        release = nil
        guard let bytes = held else { return }
        held = nil
        isAwaited = false
        context?.fireChannelRead(wrapInboundOut(bytes))
        context?.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { forget() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        forget()
        context.fireErrorCaught(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        forget()
        context.fireChannelInactive()
    }

    /// The target has ended behind a head alone, which nobody has seen: it has not answered.
    private func forget() {
        release?.cancel()
        release = nil
        held = nil
    }

    /// Whether these bytes are the head of a final reply, all of it and no more, with a length above 0 or chunks.
    static func promisesBody(_ bytes: ByteBuffer) -> Bool {
        let view = bytes.readableBytesView
        guard view.count <= longestHead, view.starts(with: "HTTP/1.".utf8),
            view.suffix(4).elementsEqual("\r\n\r\n".utf8)
        else { return false }
        let lines = String(decoding: view, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
        let words = lines[0].split(separator: " ")
        // The empty line comes once: what lies behind it would be of a body.
        guard words.count >= 2, let status = Int(words[1]), status >= 200, status != 204, status != 304,
            lines.dropFirst().firstIndex(of: "") == lines.count - 2
        else { return false }
        return lines.dropFirst().contains { line in
            guard let colon = line.firstIndex(of: ":") else { return false }
            let name = line[..<colon].lowercased()
            let value = line[line.index(after: colon)...].filter { $0 != " " && $0 != "\t" }
            return name == "content-length" ? (Int(value) ?? 0) > 0 : name == "transfer-encoding" && !value.isEmpty
        }
    }
}
