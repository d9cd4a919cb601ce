import NIOCore

// What the pipeline asks of the channel, always on the event loop.
extension StreamChannel: ChannelCore {
    func localAddress0() throws -> SocketAddress {
        guard let localAddress else { throw ChannelError.operationUnsupported }
        return localAddress
    }

    func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

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
        guard phase != .closed else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        guard output == .open else {
            promise?.fail(ChannelError.outputClosed)
            return
        }
        guard case .byteBuffer(let bytes) = unwrapData(data, as: IOData.self) else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        assert(phase != .queued, "nobody has a channel that waits")
        outbound.append(bytes, promise: promise)
        updateWritability()
    }

    func flush0() {
        guard phase != .closed, output == .open else { return }
        outbound.flush()
        if outbound.hasFlushed { session?.hasSomething(self) }
    }

    func read0() {
        guard phase == .active, !isInputClosed else { return }
        isReadPending = true
        tryRead()
    }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .output: closeOutput(promise: promise)
        case .input: closeInput(promise: promise)
        case .all: closeAll(error: error, promise: promise)
        }
    }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        guard event is ResetConnection else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        guard phase != .closed else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        session?.reset(self)
        closeAll(error: ChannelError.ioOnClosedChannel, promise: promise)
    }

    /// What nobody in the pipeline has taken.
    func channelRead0(_ data: NIOAny) {}

    func errorCaught0(error: any Error) {}
}

extension StreamChannel {
    /// Tells the pipeline when the bytes that wait pass one of the two marks.
    func updateWritability() {
        eventLoop.assertInEventLoop()
        let isWritable: Bool
        switch outbound.byteCount {
        case (options.waterMark.high + 1)...: isWritable = false
        case ..<options.waterMark.low: isWritable = true
        default: return
        }
        if setWritable(isWritable), phase == .active { pipeline.fireChannelWritabilityChanged() }
    }
}
