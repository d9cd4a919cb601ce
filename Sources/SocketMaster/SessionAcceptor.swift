import NIOCore

/// Gives the streams of one session to the application: runs its initializer on the session's event loop, and passes
/// what comes of it on to the listener.
final class SessionAcceptor<Output: Sendable>: StreamAcceptor {
    private let listener: ListenerChannel<Output>
    private let options: ChannelOptions.Storage?
    private let initializer: @Sendable (any Channel) -> EventLoopFuture<Output>
    private var outputs: [InitializedConnection<Output>] = []

    init(
        listener: ListenerChannel<Output>, options: ChannelOptions.Storage?,
        initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
    ) {
        self.listener = listener
        self.options = options
        self.initializer = initializer
    }

    var channel: (any Channel)? { listener }
    var isWilling: Bool { listener.isWilling }

    func initialize(_ stream: StreamChannel, of session: SessionHandler) {
        stream.eventLoop.assertInEventLoop()
        assert(stream.phase == .initializing, "a stream leaves the queue before its initializer runs")
        let initializer = initializer
        let initialized =
            options.map { options in
                options.applyAllChannelOptions(to: stream).flatMap { initializer(stream) }
            } ?? initializer(stream)
        initialized.hop(to: stream.eventLoop).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let output):
                self.outputs.append(InitializedConnection(output: output, channel: stream))
                session.initialized(stream)
                if !session.isInReadCycle { self.passOn(from: session) }
            case .failure(let error):
                session.initializationFailed(stream, error)
            }
        }
    }

    func passOn(from session: SessionHandler) {
        assert(!session.isTakingApart, "the application does not run while bytes are taken apart")
        guard !outputs.isEmpty else { return }
        let batch = outputs
        let untaken = session.untaken
        outputs.removeAll(keepingCapacity: true)
        if listener.eventLoop.inEventLoop {
            listener.receive(batch, from: untaken)
        } else {
            let listener = listener
            listener.eventLoop.execute { listener.receive(batch, from: untaken) }
        }
    }
}
