import Logging
import NIOCore
import Yamux

extension SessionHandler {
    /// Gives the application what it wants of those that wait, oldest first.
    func acceptQueued() {
        while phase == .open, let stream = queued.first {
            guard stream.phase == .queued else {
                queued.removeFirst()
                continue
            }
            guard !untaken.isFull, acceptor.isWilling else { return }
            queued.removeFirst()
            queuedCount -= 1
            untaken.add()
            stream.phase = .initializing
            acceptor.initialize(stream, of: self)
        }
    }

    /// The application has set the stream's channel up. From now on it may see what is received.
    func initialized(_ stream: StreamChannel) {
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
        log.warning("a connection could not be initialized", metadata: ["error": "\(error)"])
        if untaken.remove() { acceptQueued() }
        stream.closeAll(error: error, promise: nil)
    }

    /// What the stream's channel has delivered; the window follows.
    /// - Parameter mayAnnounce: whether the proxy may send as much again.
    func consumed(_ stream: StreamChannel, _ count: Int, mayAnnounce: Bool) {
        guard count > 0, phase == .open, let context else { return }
        var credit = stream.state.consumed(UInt32(count), mayAnnounce: mayAnnounce)
        guard credit > 0 else { return }
        let now = context.eventLoop.now
        // Half a window in less than two ways to the proxy and back: the window is what limits the flow.
        if now - stream.lastAnnounced < .nanoseconds(2 * roundTrip.nanoseconds) { credit += grow(stream) }
        stream.lastAnnounced = now
        put(.windowUpdate(stream.state.id, credit, flags: stream.state.flagsForNextFrame()))
        scheduleFlush()
    }

    private func grow(_ stream: StreamChannel) -> UInt32 {
        let configuration = settings.configuration
        let bound = min(configuration.maximumWindow, Int(StreamState.maximumWindow)) - stream.windowSize
        let growth = min(stream.windowSize, bound, configuration.maximumExtraWindow - extraWindow)
        guard growth > 0 else { return 0 }
        let credit = stream.state.grow(by: UInt32(growth))
        stream.windowSize += growth
        extraWindow += growth
        return credit
    }

    /// Ends a stream in both directions, and gives up what it still had to send.
    func reset(_ stream: StreamChannel) {
        guard stream.session === self else { return }
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
        case .initializing: stream.remoteEnd = .failed(StreamChannel.resetError)
        case .active, .closed: stream.endOutput(ChannelError.ioOnClosedChannel)
        }
    }

    /// The stream is over, or its channel does without the session.
    func forget(_ stream: StreamChannel) {
        guard stream.session === self else { return }
        streams[stream.state.id] = nil
        stream.session = nil
        extraWindow -= stream.windowSize - Int(StreamState.initialWindow)
        if payloadStream === stream { payloadStream = nil }
        if stream.phase == .queued {
            queuedCount -= 1
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
        let timeout = state.goAwaySent ? settings.drainingLingerTimeout : settings.lingerTimeout
        stream.lingerDeadline = context.eventLoop.now + timeout
    }
}
