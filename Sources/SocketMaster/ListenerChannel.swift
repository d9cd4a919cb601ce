import NIOCore
import Synchronization

/// The channel that stands for the published port: what a `ServerBootstrap` gives for a bound one. Its reads are
/// connections of clients, whatever session they came by, and it stays open while sessions come and go.
///
/// Whatever comes when there is nobody left to take it is reset: no client waits for an answer, and nothing is kept.
///
/// Its state is touched on its event loop alone, but for what is atomic or locked; that makes it `Sendable`.
final class ListenerChannel<Output: Sendable>: @unchecked Sendable {
    private enum Phase: Comparable {
        /// The service is not published yet.
        case idle
        case active
        /// No new connections are accepted, but some may be on their way here.
        case closing
        /// No more come; those that there are have not all ended yet.
        case quiet
        case closed
    }

    /// A connection, and the session that counts it until it is taken.
    private struct Connection {
        let initialized: InitializedConnection<Output>
        let session: UntakenStreams
    }

    let eventLoop: any EventLoop
    let allocator = ByteBufferAllocator()
    private(set) lazy var pipeline = ChannelPipeline(channel: self)

    private let activity = Atomic<Bool>(false)
    /// Whether the application reads; sessions look at it before they accept.
    private let willingness = Atomic<Bool>(false)
    private let address = Mutex<SocketAddress?>(nil)
    private let closePromise: EventLoopPromise<Void>

    private var phase = Phase.idle {
        didSet { assert(phase > oldValue, "a listener that closes does not open again") }
    }
    private var autoRead = true
    private var isReadPending = false
    private var isDelivering = false
    private var connections = CircularBuffer<Connection>()
    /// Tells a session that it may accept again.
    private var wakers: [ObjectIdentifier: @Sendable () -> Void] = [:]
    /// Ends all sessions: the first promise is for the moment when no more connections come of them, the second for
    /// that when they have ended.
    private let shutDown: @Sendable (EventLoopPromise<Void>, EventLoopPromise<Void>) -> Void
    /// Takes all sessions away, or has them registered again.
    private let setWithdrawn: @Sendable (Bool, EventLoopPromise<Void>?) -> Void

    /// Connections that one read gives at most, as with a server socket that is busy.
    private static var connectionsPerRead: Int { 16 }

    init(
        eventLoop: any EventLoop,
        shutDown: @escaping @Sendable (EventLoopPromise<Void>, EventLoopPromise<Void>) -> Void,
        setWithdrawn: @escaping @Sendable (Bool, EventLoopPromise<Void>?) -> Void = { $1?.succeed() }
    ) {
        self.eventLoop = eventLoop
        self.shutDown = shutDown
        self.setWithdrawn = setWithdrawn
        closePromise = eventLoop.makePromise()
        // Before anybody else can ask for it.
        _ = pipeline
    }

    var isWilling: Bool { willingness.load(ordering: .acquiring) }

    /// The service is published: reads begin.
    func activate(address: SocketAddress?) {
        eventLoop.assertInEventLoop()
        guard phase == .idle else { return }
        phase = .active
        self.address.withLock { $0 = address }
        activity.store(true, ordering: .releasing)
        pipeline.fireChannelActive()
        if autoRead, phase == .active { pipeline.read() }
        checkInvariants()
    }

    /// The port that is listened on may change when a proxy returns that chooses it itself.
    func setAddress(_ address: SocketAddress?) { self.address.withLock { $0 = address } }

    func addSession(_ session: UntakenStreams, wake: @escaping @Sendable () -> Void) {
        eventLoop.assertInEventLoop()
        assert(wakers[ObjectIdentifier(session)] == nil, "a session is added once")
        wakers[ObjectIdentifier(session)] = wake
        if isWilling { wake() }
    }

    func removeSession(_ session: UntakenStreams) {
        eventLoop.assertInEventLoop()
        wakers[ObjectIdentifier(session)] = nil
    }

    /// Takes connections of a session. An initializer may take its time, until nobody waits for what comes of it.
    func receive(_ batch: [InitializedConnection<Output>], from session: UntakenStreams) {
        eventLoop.assertInEventLoop()
        for initialized in batch { connections.append(Connection(initialized: initialized, session: session)) }
        switch phase {
        case .idle, .active, .closing: deliver()
        case .quiet, .closed: abandonAll()
        }
        checkInvariants()
    }

    /// Nobody will read those that are left.
    private func abandonAll() {
        assert(!isOpen && !isDelivering, "a connection is abandoned when nobody takes any more")
        while let connection = connections.popFirst() {
            _ = connection.session.remove()
            connection.initialized.abandon()
        }
    }

    private func deliver() {
        guard isReadPending, !isDelivering, isOpen, !connections.isEmpty else { return }
        isDelivering = true
        isReadPending = false
        var count = 0
        while count < Self.connectionsPerRead, let connection = connections.popFirst() {
            count += 1
            if connection.session.remove() { wakers[ObjectIdentifier(connection.session)]?() }
            pipeline.fireChannelRead(connection.initialized)
        }
        pipeline.fireChannelReadComplete()
        if autoRead, isOpen { pipeline.read() }
        isDelivering = false
        if isReadPending {
            if !connections.isEmpty { eventLoop.execute { self.deliver() } }
        } else {
            willingness.store(false, ordering: .releasing)
        }
        checkInvariants()
    }

    private var isOpen: Bool { phase == .active || phase == .closing }

    private func closeAll(promise: EventLoopPromise<Void>?) {
        switch phase {
        case .idle:
            phase = .quiet
            abandonAll()
        case .active: phase = .closing
        // Whoever closes once more wants to know when all is over.
        case .closing, .quiet: return closePromise.futureResult.cascade(to: promise)
        case .closed:
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        willingness.store(false, ordering: .releasing)
        let quiet = eventLoop.makePromise(of: Void.self)
        quiet.futureResult.whenComplete { _ in self.finish() }
        let ended = eventLoop.makePromise(of: Void.self)
        ended.futureResult.whenComplete { _ in
            // A session that is lost meanwhile may have ended before it could say that it is quiet.
            self.finish()
            assert(self.phase == .quiet, "a listener is closed when no more connections come")
            self.phase = .closed
            self.removeHandlers(pipeline: self.pipeline)
            promise?.succeed()
            self.closePromise.succeed()
        }
        shutDown(quiet, ended)
    }

    /// Nothing more comes. Connections that were accepted while the application had its hands full are still its: the
    /// proxy has been told that they are.
    private func finish() {
        eventLoop.assertInEventLoop()
        guard phase == .closing else { return }
        assert(!isDelivering, "a listener becomes quiet in a turn of its own")
        phase = .quiet
        activity.store(false, ordering: .releasing)
        isReadPending = false
        while let connection = connections.popFirst() {
            _ = connection.session.remove()
            pipeline.fireChannelRead(connection.initialized)
        }
        pipeline.fireChannelReadComplete()
        pipeline.fireChannelInactive()
        checkInvariants()
    }

    /// What holds while none of its functions runs.
    private func checkInvariants() {
        #if DEBUG
        guard !isDelivering else { return }
        eventLoop.assertInEventLoop()
        assert(!isWilling || (phase == .active && isReadPending), "connections are wanted while somebody reads")
        assert(!isReadPending || isOpen, "nobody waits for connections that do not come")
        assert(isOpen == isActive, "a listener is active until no more connections come")
        assert(connections.isEmpty || phase < .quiet, "no connection stays when nobody takes it")
        #endif
    }
}

extension ListenerChannel: Channel {
    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var localAddress: SocketAddress? { address.withLock { $0 } }
    var remoteAddress: SocketAddress? { nil }
    var parent: (any Channel)? { nil }
    var isWritable: Bool { false }
    var isActive: Bool { activity.load(ordering: .acquiring) }
    var _channelCore: any ChannelCore { self }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        eventLoop.submit {
            guard option is ChannelOptions.Types.AutoReadOption, let value = value as? Bool else {
                throw ChannelError.operationUnsupported
            }
            self.autoRead = value
            if value, self.phase == .active, !self.isReadPending { self.pipeline.read() }
        }
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        eventLoop.submit {
            guard option is ChannelOptions.Types.AutoReadOption, let value = self.autoRead as? Option.Value else {
                throw ChannelError.operationUnsupported
            }
            return value
        }
    }
}

extension ListenerChannel: ChannelCore {
    func localAddress0() throws -> SocketAddress {
        guard let localAddress else { throw ChannelError.operationUnsupported }
        return localAddress
    }

    func remoteAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }

    func register0(promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }

    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func connect0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func flush0() {}

    func read0() {
        guard isOpen else { return }
        isReadPending = true
        deliver()
        guard isReadPending, phase == .active, !willingness.exchange(true, ordering: .acquiringAndReleasing) else {
            return
        }
        for wake in wakers.values { wake() }
        checkInvariants()
    }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard mode == .all else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        closeAll(promise: promise)
    }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        guard event is WithdrawService || event is PublishAgain else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        guard phase == .idle || phase == .active else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        setWithdrawn(event is WithdrawService, promise)
    }

    /// Connections that nobody in the pipeline has kept are the application's by its initializer.
    func channelRead0(_ data: NIOAny) {}

    func errorCaught0(error: any Error) {}
}
