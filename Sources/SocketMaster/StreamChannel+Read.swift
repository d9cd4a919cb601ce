import Glibc
import NIOCore
import Yamux

extension StreamChannel {
    /// What one read gives, in bytes. Then it is the others' turn on the event loop.
    private static let bytesPerRead = 256 << 10

    /// The session has received bytes for the stream.
    func received(_ piece: ByteBuffer) {
        eventLoop.assertInEventLoop()
        assert(session != nil && remoteEnd.stage == 0, "bytes come before their end")
        if phase == .closed || isInputClosed {
            // Nobody will read it. An application that still writes must not be stopped by a window that nobody opens.
            session?.consumed(self, piece.readableBytes, mayAnnounce: phase != .closed)
        } else {
            inbound.append(piece, allocator: allocator)
        }
    }

    /// Answers a read, if there is one, with what is there.
    func tryRead() {
        eventLoop.assertInEventLoop()
        guard isReadPending, !isDelivering, phase == .active, !isInputClosed else { return }
        guard !inbound.isEmpty else { return deliverEnd() }
        isDelivering = true
        isReadPending = false
        deliver(limit: Self.bytesPerRead)
        if options.autoRead, phase == .active, !isInputClosed { pipeline.read() }
        isDelivering = false
        checkInvariants()
        guard isReadPending else { return }
        if inbound.isEmpty {
            deliverEnd()
        } else {
            eventLoop.execute { self.tryRead() }
        }
    }

    private func deliver(limit: Int) {
        assert(isDelivering, "no read is answered within another")
        var count = 0
        while count < limit, phase == .active, !isInputClosed, let piece = inbound.popFirst() {
            count += piece.readableBytes
            pipeline.fireChannelRead(piece)
        }
        session?.consumed(self, count, mayAnnounce: true)
        if phase == .active { pipeline.fireChannelReadComplete() }
    }

    /// The other side has ended its direction, and all before it has been read.
    private func deliverEnd() {
        guard case .finished = remoteEnd else { return }
        assert(inbound.isEmpty && !isInputClosed, "the end comes behind the last byte, and once")
        isReadPending = false
        guard options.allowsHalfClosure else { return closeAll(error: ChannelError.eof, promise: nil) }
        isInputClosed = true
        pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        if output == .closed { closeAll(error: ChannelError.eof, promise: nil) }
    }

    /// The initializer has done its work.
    func activate() {
        eventLoop.assertInEventLoop()
        guard phase == .initializing else { return }
        assert(remoteEnd.stage < 2 || inbound.isEmpty, "what ends unseen is not delivered")
        phase = .active
        setActive(true)
        pipeline.fireChannelActive()
        if case .failed(let error) = remoteEnd { return fail(error) }
        if options.autoRead, phase == .active { pipeline.read() }
        checkInvariants()
    }

    /// The stream is over in both directions: reset, or its session has ended. What has arrived is delivered even
    /// though nobody has asked for it, then the error.
    func fail(_ error: any Error) {
        eventLoop.assertInEventLoop()
        assert(session?.streams[state.id] == nil, "who fails has been forgotten by the session")
        session = nil
        remoteEnd = .failed(error)
        switch phase {
        case .queued: discard()
        case .initializing: endUnseen(error)
        case .active: failActive(error)
        case .closed: endOutput(error)
        }
        checkInvariants()
    }

    /// It ends before anybody has seen it, and the proxy may give it to somebody else: nothing of it is delivered even
    /// when the initializer has done its work.
    func endUnseen(_ error: any Error) {
        assert(phase == .initializing, "only who is being initialized ends unseen")
        remoteEnd = .failed(error)
        _ = inbound.removeAll()
    }

    private func failActive(_ error: any Error) {
        isReadPending = false
        giveUpOutput(error)
        if !inbound.isEmpty, !isInputClosed {
            assert(!isDelivering, "no read is answered within another")
            // This answers whatever is asked for meanwhile: a read within a read would get the later bytes first.
            isDelivering = true
            deliver(limit: .max)
            isDelivering = false
        }
        guard phase == .active else { return }
        pipeline.fireErrorCaught(error)
        if phase == .active { closeAll(error: error, promise: nil) }
    }

    /// What a socket says that was reset.
    static var resetError: IOError { IOError(errnoCode: ECONNRESET, reason: "the connection was reset") }
}
