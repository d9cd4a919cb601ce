import Logging
import NIOCore
import Yamux

/// What a session tells its listener, from the session's event loop.
enum SessionEvent: Sendable {
    /// The proxy wants no more of it, but what is under way goes on.
    case draining
    /// It is over; the clause says why.
    case ended(reason: String)
}

/// Where a session's streams go. It lives on the session's event loop.
protocol StreamAcceptor: AnyObject {
    /// The channel that streams have as their parent.
    var channel: (any Channel)? { get }
    /// Whether the application wants one more.
    var isWilling: Bool { get }
    /// Runs the application's initializer; `SessionHandler.initialized` or `initializationFailed` follows.
    func initialize(_ stream: StreamChannel, of session: SessionHandler)
    /// Passes on what has been initialized: called when a read cycle ends, so that all of it goes at once.
    func passOn(from session: SessionHandler)
}

/// What does not change during a session.
struct SessionSettings: Sendable {
    var configuration = SocketMasterConfiguration()
    /// Requests, and not raw connections.
    var isHTTP = false
    /// The proxy begins each stream with the client's address.
    var bringsClientAddress = false
    var metrics: ServiceMetrics?
    var limits = SessionLimits()
    /// Streams that wait to be accepted; what comes beyond is refused. As many as a Go service keeps.
    var backlog = 256
    /// How long a closed stream may take to end: to send what is left, and to get the other side's end.
    var lingerTimeout = TimeAmount.seconds(30)
    /// The same while the session drains, which must not take long for streams that nobody uses any more.
    var drainingLingerTimeout = TimeAmount.seconds(5)
    /// How long the proxy may take nothing at all until it is given up.
    var stallTimeout = TimeAmount.seconds(30)
    /// How long the proxy may take to hear that all is over.
    var goodbyeTimeout = TimeAmount.seconds(2)
    /// How long the proxy may take to hear of a withdrawal, until what it has sent meanwhile is given back.
    var withdrawalTimeout = TimeAmount.milliseconds(200)
    /// How long acknowledgements, and ends that nobody waits for, look for something to go with.
    var lateness = TimeAmount.milliseconds(5)
}

/// The service's side of one session: frames in, frames out, and the streams between them.
///
/// What is received goes to streams, which deliver it when they are read. What streams have to send gathers in a queue
/// of them and goes out once per turn of the event loop, or when a read cycle ends: control frames first, then the
/// streams in turns. Everything here happens on the channel's event loop.
final class SessionHandler {
    enum Phase: Comparable {
        case open
        /// All is said; the proxy's end is awaited.
        case finishing
        case ended
    }

    /// The last ping, when nothing is left.
    enum Farewell {
        case none
        case sent(UInt32)
        case answered

        /// How far it has come.
        var stage: Int {
            switch self {
            case .none: 0
            case .sent: 1
            case .answered: 2
            }
        }
    }

    struct Withdrawal {
        /// Sent behind GoAway.
        let ping: UInt32
        let promise: EventLoopPromise<Void>
    }

    let settings: SessionSettings
    let acceptor: any StreamAcceptor
    let log: Logger
    let onEvent: @Sendable (SessionEvent) -> Void

    var phase = Phase.open {
        didSet { assert(phase > oldValue, "a session that ends does not begin again") }
    }
    var context: ChannelHandlerContext?
    var state: SessionState
    var reader = FrameReader()
    var streams: [UInt32: StreamChannel] = [:]
    /// What the metrics have not been told yet, and how many streams they know of.
    var streamsOpened = 0
    private var toldStreams = 0
    var tick: RepeatedTask?
    var drainDeadline: NIODeadline?
    var finishTask: Scheduled<Void>?
    /// The application has withdrawn, and the proxy has not answered yet.
    var withdrawal: Withdrawal?
    var farewell = Farewell.none {
        didSet { assert(farewell.stage >= oldValue.stage, "the last ping is sent once") }
    }
    /// A session on which the proxy has said GoAway, and since when nothing has been under way on it.
    var idleSince: NIODeadline?

    // Receiving.
    var payloadStream: StreamChannel?
    var finishesAfterPayload = false
    /// Streams that have got something in this read.
    var touched: [StreamChannel] = []
    var isInReadCycle = false
    /// Received bytes are being taken apart: no code of the application may run.
    var isTakingApart = false
    var queued = CircularBuffer<StreamChannel>()
    /// How many wait, those included whose client is not known yet.
    var queuedCount = 0
    /// Initialized for the application and not taken by it yet.
    let untaken = UntakenStreams()
    /// What all windows have been granted beyond their first size.
    var extraWindow = 0
    var roundTrip = RoundTrip()
    /// Those that the log has not been told of, and when it was.
    var failedInitializations = 0
    var lastWarning = NIODeadline.distantPast

    // Sending.
    var egress = ByteBuffer()
    var completions: [WriteCompletion] = []
    var ready = CircularBuffer<StreamChannel>()
    var acknowledgements: [StreamChannel] = []
    var isFlushScheduled = false
    /// There is something that has to go out; what may be late waits for it.
    var isSendDue = false
    var isLateScheduled = false
    var unwritableSince: NIODeadline?

    /// What they do is not ours: not while bytes are taken apart.
    func tellMetrics() {
        assert(!isTakingApart, "no code of others runs while bytes are taken apart")
        guard let metrics = settings.metrics, streamsOpened > 0 || streams.count != toldStreams else { return }
        metrics.tellStreams(opened: streamsOpened, more: streams.count - toldStreams)
        (streamsOpened, toldStreams) = (0, streams.count)
    }

    init(
        settings: SessionSettings, acceptor: any StreamAcceptor, log: Logger,
        onEvent: @escaping @Sendable (SessionEvent) -> Void
    ) {
        self.settings = settings
        self.acceptor = acceptor
        self.log = log
        self.onEvent = onEvent
        state = SessionState(role: .acceptor, limits: settings.limits)
    }

    /// In milliseconds, as the protocol's state counts.
    func milliseconds(_ time: NIODeadline) -> UInt64 { time.uptimeNanoseconds / 1_000_000 }

    /// As round trips and windows are counted, to which 0 means never.
    func microseconds(_ time: NIODeadline) -> UInt64 { time.uptimeNanoseconds / 1_000 + 1 }
}

extension SessionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func handlerAdded(context: ChannelHandlerContext) {
        assert(self.context == nil && phase == .open, "a session has one connection")
        self.context = context
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard tick == nil else { return }
        let now = context.eventLoop.now
        state.noteReceived(now: milliseconds(now))
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        tick = context.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            bound.value.ticked()
        }
        measureRoundTrip(now: microseconds(now))
        scheduleFlush()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase == .open else { return }
        isInReadCycle = true
        take(Self.unwrapInboundIn(data))
        deliverTouched()
        acceptQueued()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInReadCycle = false
        acceptor.passOn(from: self)
        flush()
        tellMetrics()
        checkInvariants()
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        unwritableSince = context.channel.isWritable ? nil : context.eventLoop.now
        if context.channel.isWritable { scheduleFlush() }
        context.fireChannelWritabilityChanged()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(reason: "the proxy has closed it")
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(reason: connectReason(error), cause: error)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(reason: "the connection was given up")
        self.context = nil
    }
}
