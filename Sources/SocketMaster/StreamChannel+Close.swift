import NIOCore

extension StreamChannel {
    /// FIN, behind everything that was written.
    func closeOutput(promise: EventLoopPromise<Void>?) {
        guard phase != .closed else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        guard output == .open else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        assert(outputPromise == nil, "an output is closed once")
        outbound.flush()
        output = .closing
        outputPromise = promise
        session?.hasSomething(self)
    }

    /// Nothing more is read, and what has been received is given up.
    func closeInput(promise: EventLoopPromise<Void>?) {
        guard phase == .active else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        guard !isInputClosed else {
            promise?.fail(ChannelError.inputClosed)
            return
        }
        isInputClosed = true
        isReadPending = false
        giveUpInput(mayAnnounce: true)
        promise?.succeed()
        pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        if output == .closed { closeAll(error: ChannelError.eof, promise: nil) }
        checkInvariants()
    }

    /// The application is done. What it has flushed still goes out, as it would from the kernel's buffer of a socket,
    /// and then FIN; `closeFuture` is fulfilled when that has been sent.
    func closeAll(error: any Error, promise: EventLoopPromise<Void>?) {
        guard phase != .closed else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        eventLoop.assertInEventLoop()
        assert(phase != .queued, "nobody has a channel that waits")
        let wasActive = phase == .active
        phase = .closed
        setActive(false)
        isReadPending = false
        if let promise { closeWaiters.append(promise) }
        giveUpInput(mayAnnounce: false)
        outbound.removeUnflushed().fail(ChannelError.ioOnClosedChannel)
        finishOutput(wasActive: wasActive, error: error)
        if wasActive { pipeline.fireChannelInactive() }
        eventLoop.execute { self.removeHandlers(pipeline: self.pipeline) }
        checkInvariants()
    }

    /// With a session or without one: nobody will read it.
    private func giveUpInput(mayAnnounce: Bool) {
        let count = inbound.removeAll()
        session?.consumed(self, count, mayAnnounce: mayAnnounce)
    }

    private func finishOutput(wasActive: Bool, error: any Error) {
        switch output {
        case .closed:
            session?.linger(self)
            if isFinWritten { endClose() }
        case .open, .closing:
            guard let session else { return endOutput(error) }
            guard wasActive else {
                // It was never accepted, and nobody has seen anything of it.
                session.reset(self)
                return endOutput(error)
            }
            output = .closing
            session.linger(self)
            session.hasSomething(self)
        }
    }

    /// Nothing more can be sent.
    func endOutput(_ error: any Error) {
        giveUpOutput(error)
        if phase == .closed { endClose() }
    }

    /// Whoever is told of it may use the channel: all is as it shall be before.
    func giveUpOutput(_ error: any Error) {
        output = .closed
        isFinWritten = true
        let promise = outputPromise
        outputPromise = nil
        outbound.removeAll().fail(error)
        promise?.fail(error)
    }

    /// The session has put FIN behind everything else.
    func outputFinished() {
        assert(output == .closed, "FIN has been put where it belongs")
        guard phase == .active else { return }
        pipeline.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
        if isInputClosed, phase == .active { closeAll(error: ChannelError.eof, promise: nil) }
    }

    /// FIN has been written to the session's connection, or never will be.
    func finWritten(_ result: Result<Void, any Error>) {
        eventLoop.assertInEventLoop()
        guard !isFinWritten else { return }
        assert(output == .closed, "FIN is written where the output ends")
        isFinWritten = true
        let promise = outputPromise
        outputPromise = nil
        promise?.completeWith(result)
        if phase == .closed { endClose() }
        checkInvariants()
    }

    /// It came to nothing before anybody accepted it.
    func discard() {
        guard phase == .queued else { return }
        assert(outbound.isEmpty && closeWaiters.isEmpty, "nobody waits for a stream that nobody has")
        phase = .closed
        session = nil
        _ = inbound.removeAll()
        removeHandlers(pipeline: pipeline)
        endClose()
    }

    private func endClose() {
        guard !hasClosed else { return }
        assert(phase == .closed && outbound.isEmpty && outputPromise == nil, "a close is told behind all else")
        hasClosed = true
        let waiters = closeWaiters
        closeWaiters = []
        closePromise.succeed()
        for waiter in waiters { waiter.succeed() }
    }
}
