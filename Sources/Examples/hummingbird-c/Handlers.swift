#if Hummingbird
import Hummingbird
import Logging
import NIOCore

func logger(level: String?) -> Logger {
    var log = Logger(label: "c")
    log.logLevel = level.flatMap { Logger.Level(rawValue: $0) } ?? .info
    return log
}

/// Where a request is served.
struct LoopContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let eventLoop: any EventLoop

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        eventLoop = source.channel.eventLoop
    }
}

/// A channel handler of the application: says that it has seen a connection's first request, and the end of all.
final class EventLogger: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    private let log: Logger
    private var hasSeen = false

    init(log: Logger) { self.log = log }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !hasSeen { log.info("a handler has seen a request") }
        hasSeen = true
        context.fireChannelRead(data)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { log.info("a handler has been told of the end") }
        context.fireUserInboundEventTriggered(event)
    }
}
#endif
