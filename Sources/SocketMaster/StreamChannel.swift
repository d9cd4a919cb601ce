import NIOCore
import Synchronization
import Yamux

/// One stream of a session as a channel: a connection of a client, or one HTTP exchange after another.
///
/// It lives on its session's event loop. Reads follow demand, and the stream's window follows the reads; writes wait
/// for the window. Everything but the two flags and the addresses is touched on the event loop alone, which is what
/// makes the type `Sendable`; `Channel` asks for the rest from anywhere.
final class StreamChannel: @unchecked Sendable {
    enum Phase: Comparable {
        /// It waits to be accepted.
        case queued
        /// The application's initializer runs.
        case initializing
        case active
        /// The application has closed it, or it has come to nothing. What was flushed may still have to go out.
        case closed
    }

    /// How the other side's direction ends, behind what lies in `inbound`.
    enum RemoteEnd {
        case open
        case finished
        case failed(any Error)

        /// How far it has come.
        var stage: Int {
            switch self {
            case .open: 0
            case .finished: 1
            case .failed: 2
            }
        }
    }

    enum Output: Comparable {
        case open
        /// FIN follows what has been flushed.
        case closing
        /// FIN is on its way, or nothing can be sent any more.
        case closed
    }

    let eventLoop: any EventLoop
    let allocator = ByteBufferAllocator()
    /// The listener's channel.
    let parent: (any Channel)?
    private(set) lazy var pipeline = ChannelPipeline(channel: self)

    private let activity = Atomic<Bool>(false)
    private let writability = Atomic<Bool>(true)
    private let addresses: Mutex<Addresses>
    let closePromise: EventLoopPromise<Void>

    struct Addresses {
        var local: SocketAddress?
        var remote: SocketAddress?
    }

    /// Nothing once the stream is over for the session.
    var session: SessionHandler?
    var state: StreamState
    var phase = Phase.queued {
        didSet { assert(phase > oldValue, "a stream goes from waiting to closed and not back") }
    }

    var inbound = InboundQueue()
    var remoteEnd = RemoteEnd.open {
        didSet { assert(remoteEnd.stage >= oldValue.stage, "an end is the end") }
    }
    var isReadPending = false
    var isDelivering = false
    var isInputClosed = false
    var window = WindowGrowth()

    var outbound = OutboundQueue()
    var output = Output.open {
        didSet { assert(output >= oldValue, "an output that was closed does not open again") }
    }
    var outputPromise: EventLoopPromise<Void>?
    /// It stands in the session's queue of those that have something to send.
    var isReady = false
    /// The application has had the chance to see something of it, or has written to it: it has to be acknowledged
    /// before it ends.
    var mayHaveBeenSeen = false
    /// The header in front of the client's bytes has been read.
    var knowsClient = false
    /// The channel has been closed, and so long the rest may take.
    var lingerDeadline: NIODeadline?
    var isOutputToldFinished = false
    var isFinWritten = false
    var hasClosed = false
    var closeWaiters: [EventLoopPromise<Void>] = []

    var options = StreamOptions()

    init(state: StreamState, session: SessionHandler, eventLoop: any EventLoop, parent: (any Channel)?, peer: Addresses)
    {
        self.state = state
        self.session = session
        self.eventLoop = eventLoop
        self.parent = parent
        addresses = Mutex(peer)
        closePromise = eventLoop.makePromise()
        // Before anybody else can ask for it.
        _ = pipeline
    }

    /// The proxy has told who the client is.
    func setAddresses(_ header: ProxyProtocolHeader) {
        guard header.source != nil else { return }
        addresses.withLock { $0 = Addresses(local: header.destination, remote: header.source) }
    }

    func setActive(_ isActive: Bool) { activity.store(isActive, ordering: .releasing) }

    /// - Returns: whether that changes it.
    func setWritable(_ isWritable: Bool) -> Bool {
        writability.exchange(isWritable, ordering: .acquiringAndReleasing) != isWritable
    }
}

extension StreamChannel: Channel {
    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var localAddress: SocketAddress? { addresses.withLock { $0.local } }
    var remoteAddress: SocketAddress? { addresses.withLock { $0.remote } }
    var isWritable: Bool { writability.load(ordering: .acquiring) }
    var isActive: Bool { activity.load(ordering: .acquiring) }
    var _channelCore: any ChannelCore { self }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        guard eventLoop.inEventLoop else {
            return eventLoop.submit { try self.set(option, to: value) }
        }
        return eventLoop.makeCompletedFuture { try self.set(option, to: value) }
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        guard eventLoop.inEventLoop else {
            return eventLoop.submit { try self.get(option) }
        }
        return eventLoop.makeCompletedFuture { try self.get(option) }
    }

    var syncOptions: (any NIOSynchronousChannelOptions)? { SynchronousStreamOptions(channel: self) }
}

extension StreamChannel: CustomStringConvertible {
    var description: String { "connection \(state.id) by way of the proxy" }
}
