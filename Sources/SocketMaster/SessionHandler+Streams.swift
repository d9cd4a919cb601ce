import Logging
import NIOCore
import Yamux

extension SessionHandler {
    /// Gives the application what it wants of those that wait, oldest first.
    func acceptQueued() {
        while phase == .open, !state.goAwaySent, let stream = queued.first {
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
        let now = microseconds(context.eventLoop.now)
        let configuration = settings.configuration
        let ofStream = configuration.maximumWindow - Int(StreamState.initialWindow + stream.state.receiveWindowGrowth)
        let credit = stream.window.taken(
            UInt32(count), of: &stream.state, isDry: stream.inbound.isEmpty, roundTrip: roundTrip,
            room: min(ofStream, configuration.maximumExtraWindow - extraWindow), mayAnnounce: mayAnnounce, now: now)
        extraWindow += Int(credit.growth)
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
        streams[stream.state.id] = nil
        stream.session = nil
        extraWindow -= Int(stream.state.receiveWindowGrowth)
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
