internal import NIOCore

/// What the gate tells the handler behind the decoder, which sees whole heads alone.
enum HeadNews: Equatable, Sendable {
    /// Whether a part of a head has come, and no more.
    case isPartial(Bool)
    case isTooLarge
}

/// Counts the bytes of heads in front of the decoder.
final class HeadGate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private var meter = HeadMeter(limit: Bounds.headBytes)
    private var wasPartial = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Nobody reads what follows a head that is too large.
        guard !meter.isOver else { return }
        guard meter.take(unwrapInboundIn(data).readableBytesView) else {
            return context.fireUserInboundEventTriggered(HeadNews.isTooLarge)
        }
        context.fireChannelRead(data)
        guard meter.isPartial != wasPartial else { return }
        wasPartial = meter.isPartial
        context.fireUserInboundEventTriggered(HeadNews.isPartial(wasPartial))
    }
}

/// Measures heads, which end with an empty line. Bodies are taken for heads: a request that has one is the last.
struct HeadMeter {
    private let limit: Int
    private var count = 0
    private var isLineEmpty = true

    init(limit: Int) { self.limit = limit }

    var isPartial: Bool { count > 0 }
    var isOver: Bool { count > limit }

    /// - Returns: false as soon as a head is too large.
    mutating func take(_ bytes: some Sequence<UInt8>) -> Bool {
        for byte in bytes {
            count += 1
            switch byte {
            case UInt8(ascii: "\n"):
                if isLineEmpty { count = 0 }
                isLineEmpty = true
            case UInt8(ascii: "\r"): break
            default: isLineEmpty = false
            }
            if isOver { return false }
        }
        return true
    }
}
