import Logging
import NIOCore
import Yamux

extension SessionHandler {
    /// Gives the application what it wants of those that wait, oldest first.
    func acceptQueued() {
        assert(!isTakingApart, "the application does not run while bytes are taken apart")
        while phase == .open, !state.goAwaySent, let stream = queued.first {
            guard stream.phase == .queued else {
                queued.removeFirst()
                continue
            }
            guard !untaken.isFull, acceptor.isWilling else { return }
            queued.removeFirst()
            queuedCount -= 1
            assert(queued.count <= queuedCount && stream.session === self, "who waits is counted, and has not ended")
            untaken.add()
            stream.phase = .initializing
            acceptor.initialize(stream, of: self)
        }
    }

    /// The application has set the stream's channel up. From now on it may see what is received.
    func initialized(_ stream: StreamChannel) {
        stream.eventLoop.assertInEventLoop()
        assert(stream.phase != .queued && stream.phase != .active, "a stream is initialized once")
        if stream.session === self {
            stream.mayHaveBeenSeen = true
            if !stream.state.isAnnounced {
                acknowledgements.append(stream)
                // So many in a row are worth a send of their own: the proxy waits with more until it hears of them.
                if acknowledgements.count >= settings.backlog / 4 { scheduleFlush() } else { scheduleLate() }
            }
        }
        stream.activate()
    }

    /// The application could not set it up, and has seen nothing of it.
    func initializationFailed(_ stream: StreamChannel, _ error: any Error) {
        stream.eventLoop.assertInEventLoop()
        assert(stream.phase != .queued && stream.phase != .active, "a stream is initialized once")
        // What has been given back in the meantime is nobody's loss.
        if stream.session === self { warnOfInitialization(error) }
        if untaken.remove() { acceptQueued() }
        stream.closeAll(error: error, promise: nil)
    }

    /// Once a second at most: what fails for one client fails for a thousand.
    private func warnOfInitialization(_ error: any Error) {
        failedInitializations += 1
        guard let now = context?.eventLoop.now, now - lastWarning >= .seconds(1) else { return }
        let count = failedInitializations
        log.warning("connections could not be initialized", metadata: ["count": "\(count)", "error": "\(error)"])
        failedInitializations = 0
        lastWarning = now
    }

    /// What the stream's channel has delivered; the window follows.
    /// - Parameter mayAnnounce: whether the proxy may send as much again.
    func consumed(_ stream: StreamChannel, _ count: Int, mayAnnounce: Bool) {
        guard count > 0, phase == .open, let context else { return }
        assert(stream.session === self, "a stream that is over has no window")
        let now = microseconds(context.eventLoop.now)
        let configuration = settings.configuration
        let ofStream = configuration.maximumWindow - Int(StreamState.initialWindow + stream.state.receiveWindowGrowth)
        let credit = stream.window.taken(
            UInt32(count), of: &stream.state, isDry: stream.inbound.isEmpty, roundTrip: roundTrip,
            room: min(ofStream, configuration.maximumExtraWindow - extraWindow), mayAnnounce: mayAnnounce, now: now)
        extraWindow += Int(credit.growth)
        assert(credit.reduction == 0, "no window becomes smaller: nobody here says that bytes pile up")
        guard credit.bytes > 0 else { return }
        if roundTrip.isDue(now: now) { measureRoundTrip(now: now) }
        put(.windowUpdate(stream.state.id, credit.bytes, flags: stream.state.flagsForNextFrame()))
        scheduleFlush()
    }

    /// Sends a ping that tells how far the proxy is away.
    func measureRoundTrip(now: UInt64) {
        let ping = state.barrierPing()
        roundTrip.sent(ping, now: now)
        put(.ping(ping))
    }

    /// Ends a stream in both directions, and gives up what it still had to send.
    func reset(_ stream: StreamChannel) {
        guard stream.session === self else { return }
        stream.eventLoop.assertInEventLoop()
        if phase == .open {
            if stream.mayHaveBeenSeen { acknowledge(stream) }
            if stream.state.canSendReset {
                stream.state.sendReset()
                put(.reset(stream.state.id))
                scheduleFlush()
            }
        }
        forget(stream)
        switch stream.phase {
        case .queued: stream.discard()
        case .initializing: stream.endUnseen(StreamChannel.resetError)
        case .active, .closed:
            stream.remoteEnd = .failed(StreamChannel.resetError)
            stream.endOutput(ChannelError.ioOnClosedChannel)
        }
    }

    /// The stream is over, or its channel does without the session.
    func forget(_ stream: StreamChannel) {
        guard stream.session === self else { return }
        assert(streams[stream.state.id] === stream || phase == .ended, "a stream is found by its id")
        streams[stream.state.id] = nil
        stream.session = nil
        extraWindow -= Int(stream.state.receiveWindowGrowth)
        assert(extraWindow >= 0, "a window gives back no more than it has grown by")
        if payloadStream === stream { payloadStream = nil }
        if stream.phase == .queued {
            queuedCount -= 1
            assert(queuedCount >= 0, "a stream waits once")
            // It is one of a backlog at most, and must not be kept by an application that takes nothing.
            queued.removeAll { $0 === stream }
        }
        if streams.isEmpty {
            idleSince = context?.eventLoop.now
            if state.goAwaySent { scheduleFlush() }
        }
    }

    /// A stream whose channel has been closed: it has a while to send what is left and to get the proxy's end.
    func linger(_ stream: StreamChannel) {
        guard let context else { return }
        assert(stream.phase == .closed && stream.session === self, "only a closed stream of this session has to end")
        let timeout = state.goAwaySent ? settings.drainingLingerTimeout : settings.lingerTimeout
        stream.lingerDeadline = context.eventLoop.now + timeout
    }
}
