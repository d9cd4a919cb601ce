import Logging
import NIOCore
import Yamux

extension SessionHandler {
    /// Takes what has arrived apart. No code of the application runs in here: streams only note what they got.
    func take(_ bytes: ByteBuffer) {
        guard let context else { return }
        assert(isInReadCycle && !isTakingApart, "what has been received is taken apart once")
        isTakingApart = true
        defer { isTakingApart = false }
        let now = milliseconds(context.eventLoop.now)
        state.noteReceived(now: now)
        var offset = 0
        while phase == .open {
            // The pointer is for this one call; the event holds offsets.
            let event = unsafe bytes.withUnsafeReadableBytes { unsafe reader.next(in: $0, offset: &offset) }
            switch event.kind {
            case .needsBytes: return
            case .breach: return breach(event.breach)
            case .header: receive(event.header, now: now)
            case .payload:
                let place = bytes.readerIndex + event.payloadOffset
                if let payloadStream, let piece = bytes.getSlice(at: place, length: event.payloadCount) {
                    receive(piece, payloadStream)
                }
                if event.isPayloadEnd { endPayload() }
            }
        }
    }

    private func receive(_ header: FrameHeader, now: UInt64) {
        switch header.type {
        case .ping, .goAway: act(state.receiveSessionFrame(header, now: now), header, now: now)
        case .data, .windowUpdate:
            if let stream = streams[header.streamID] {
                receive(header, stream)
            } else {
                payloadStream = nil
                finishesAfterPayload = false
                act(state.receiveUnknownStream(header, now: now), header, now: now)
            }
        }
    }

    private func act(_ action: SessionAction, _ header: FrameHeader, now: UInt64) {
        switch action {
        case .nothing: break
        case .answerPing(let value):
            put(.pong(value))
            scheduleFlush()
        case .pong:
            guard let now = context?.eventLoop.now else { return }
            roundTrip.answered(state, now: microseconds(now))
            if let withdrawal, state.isAnswered(withdrawal.ping) { endWithdrawal() }
            // The end of this read cycle looks whether that was all.
            if state.goAwaySent { scheduleFlush() }
        case .drain:
            idleSince = context?.eventLoop.now
            onEvent(.draining)
        case .refuseStream(let id):
            put(.reset(id))
            scheduleFlush()
        case .acceptStream(let id): open(id, header, now: now)
        case .breach(let reason): breach(reason)
        }
    }

    /// A stream that the proxy opens waits until the application wants it.
    private func open(_ id: UInt32, _ header: FrameHeader, now: UInt64) {
        guard let context else { return }
        guard queuedCount < settings.backlog, streams.count < settings.configuration.maximumStreams else {
            return act(state.refuseStream(id, now: now), header, now: now)
        }
        assert(streams[id] == nil, "an id belongs to one stream")
        let channel = context.channel
        let stream = StreamChannel(
            state: StreamState(acceptedID: id), session: self, eventLoop: context.eventLoop, parent: acceptor.channel,
            peer: .init(local: channel.localAddress, remote: channel.remoteAddress))
        streams[id] = stream
        streamsOpened += 1
        queuedCount += 1
        if !settings.bringsClientAddress { queued.append(stream) }
        receive(header, stream)
    }

    /// A frame of a stream that is known.
    private func receive(_ header: FrameHeader, _ stream: StreamChannel) {
        if header.flags.contains(.reset), stream.mayHaveBeenSeen { acknowledge(stream) }
        let event = stream.state.receive(header)
        guard event.breach == .none else { return breach(event.breach) }
        let hasPayload = header.type == .data && header.length > 0
        payloadStream = hasPayload && !event.contains(.late) && !event.contains(.reset) ? stream : nil
        finishesAfterPayload = false
        if event.isEmpty { return }
        if event.contains(.reset) { return reset(by: stream) }
        if event.contains(.windowOpened) { hasSomething(stream) }
        guard event.contains(.finished) else { return }
        if hasPayload {
            finishesAfterPayload = true
        } else {
            finish(stream)
        }
    }

    private func receive(_ piece: ByteBuffer, _ stream: StreamChannel) {
        stream.received(piece)
        touched.append(stream)
    }

    /// Whether its FIN has come, and not yet all of the bytes beside it.
    func isAwaitingLastBytes(of stream: StreamChannel) -> Bool { finishesAfterPayload && payloadStream === stream }

    private func endPayload() {
        if finishesAfterPayload, let payloadStream { finish(payloadStream) }
        payloadStream = nil
        finishesAfterPayload = false
    }

    /// The proxy's direction has ended.
    private func finish(_ stream: StreamChannel) {
        assert(stream.session === self, "only a stream of this session ends")
        stream.remoteEnd = .finished
        touched.append(stream)
        if stream.state.isFinished { forget(stream) }
    }

    /// The proxy has reset the stream.
    private func reset(by stream: StreamChannel) {
        forget(stream)
        if stream.phase == .initializing {
            stream.endUnseen(StreamChannel.resetError)
        } else {
            stream.remoteEnd = .failed(StreamChannel.resetError)
            touched.append(stream)
        }
    }

    /// Streams that have got something deliver it, if they are read.
    func deliverTouched() {
        assert(!isTakingApart, "the application does not run while bytes are taken apart")
        guard !touched.isEmpty else { return }
        let streams = touched
        touched.removeAll(keepingCapacity: true)
        for stream in streams {
            if lacksClient(stream) { findClient(of: stream) }
            if case .failed(let error) = stream.remoteEnd {
                stream.fail(error)
            } else {
                stream.tryRead()
            }
        }
    }

    /// Whether a stream waits for its client to be known. One that is over by now does not: among those that wait to be
    /// accepted nobody would look for it.
    private func lacksClient(_ stream: StreamChannel) -> Bool {
        settings.bringsClientAddress && stream.phase == .queued && !stream.knowsClient && stream.session === self
            && phase == .open
    }

    /// Reads the header in front of the client's bytes.
    private func findClient(of stream: StreamChannel) {
        assert(!stream.mayHaveBeenSeen, "the client is known before the application has the stream")
        switch ProxyProtocolHeader.parse(stream.inbound.peek(limit: ProxyProtocolHeader.maximumBytes)) {
        case .needsMore:
            if case .finished = stream.remoteEnd { reset(stream) }
        case .broken:
            log.warning("a stream without the client's address has been refused")
            reset(stream)
        case .header(let header):
            stream.knowsClient = true
            stream.inbound.drop(header.byteCount)
            consumed(stream, header.byteCount, mayAnnounce: false)
            stream.setAddresses(header)
            queued.append(stream)
        }
    }
}
