import NIOCore
import Yamux

/// Who wants to know that bytes have been written to the session's connection.
enum WriteCompletion {
    case promise(EventLoopPromise<Void>)
    case fin(StreamChannel)

    func complete(_ result: Result<Void, any Error>) {
        switch self {
        case .promise(let promise): promise.completeWith(result)
        case .fin(let stream): stream.finWritten(result)
        }
    }
}

extension SessionHandler {
    /// What one frame carries at most: when several streams have something to send, and when only one has.
    static let sharedFrame: UInt32 = 64 << 10
    static let loneFrame: UInt32 = 256 << 10
    /// Payload up to this size is copied behind its header; what is larger is written as it is.
    private static let copied = 16 << 10
    /// The most of control frames that may wait for a proxy that takes nothing.
    private static let egressMaximum = 1 << 20

    /// The stream may have something to send. It goes out at the end of this turn.
    func hasSomething(_ stream: StreamChannel) {
        guard stream.session === self, phase == .open else { return }
        assert(stream.phase != .queued, "nobody writes to a stream that waits")
        if stream.outbound.flushedBytes > 0 {
            guard stream.state.sendWindow > 0 else { return }
        } else {
            guard stream.outbound.hasFlushed || stream.output == .closing else { return }
        }
        if !stream.isReady {
            stream.isReady = true
            ready.append(stream)
        }
        if isMereEnd(stream) { scheduleLate() } else { scheduleFlush() }
    }

    /// All that is left is a FIN that the proxy does nothing with but forget the stream: it has ended its side, which
    /// on streams of HTTP it does when it has the whole reply.
    private func isMereEnd(_ stream: StreamChannel) -> Bool {
        settings.isHTTP && stream.output == .closing && !stream.outbound.hasFlushed && stream.state.finReceived
            && !state.goAwaySent
    }

    func scheduleFlush() {
        isSendDue = true
        guard !isInReadCycle, !isFlushScheduled, phase == .open, let context else { return }
        isFlushScheduled = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.execute { bound.value.flush() }
    }

    /// For what is no reason to send: it goes with the next send, or a little later by itself.
    func scheduleLate() {
        guard !isLateScheduled, phase == .open, let context else { return }
        isLateScheduled = true
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: settings.lateness) {
            bound.value.isLateScheduled = false
            if !bound.value.ready.isEmpty || !bound.value.acknowledgements.isEmpty { bound.value.scheduleFlush() }
        }
    }

    /// Sends what there is, as far as the connection takes it.
    func flush() {
        isFlushScheduled = false
        guard isSendDue, phase == .open, let context else { return }
        assert(!isTakingApart, "the application does not run while bytes are taken apart")
        isSendDue = false
        var served: [StreamChannel] = []
        while context.channel.isWritable, let stream = ready.popFirst() {
            assert(stream.isReady, "a stream stands among those that send once")
            stream.isReady = false
            guard stream.session === self else { continue }
            served.append(stream)
            if writeFrame(stream, limit: ready.isEmpty ? Self.loneFrame : Self.sharedFrame) {
                stream.isReady = true
                ready.append(stream)
            }
            if egress.readableBytes >= Int(Self.sharedFrame) { writeEgress(context) }
        }
        // Those that were quick have been acknowledged by what they said.
        for stream in acknowledgements where stream.session === self { acknowledge(stream) }
        acknowledgements.removeAll(keepingCapacity: true)
        if context.channel.isWritable {
            writeEgress(context)
        } else if egress.readableBytes > Self.egressMaximum {
            return end(reason: "it asks for answers and takes none")
        }
        context.flush()
        tellServed(served)
        finishIfDrained()
        if !isInReadCycle { checkInvariants() }
    }

    /// - Returns: whether the stream could send more at once.
    private func writeFrame(_ stream: StreamChannel, limit: UInt32) -> Bool {
        let available = stream.outbound.flushedBytes
        if available > 0 {
            let count = stream.state.sendFrame(maximum: UInt32(clamping: available), payloadLimit: limit)
            guard count > 0 else { return false }
            let flags = flagsOfNextFrame(stream)
            put(FrameHeader(type: .data, flags: flags, streamID: stream.state.id, length: count))
            writePayload(stream, Int(count))
        }
        // Empty writes that nothing stands before.
        while let piece = stream.outbound.next(limit: 0) { noteCompletion(piece) }
        if stream.outbound.flushedBytes > 0 { return stream.state.sendWindow > 0 }
        if stream.output == .closing, stream.state.canSendFin { writeFin(stream) }
        return false
    }

    /// An initializer that writes, or ends the output, has the stream: its first frame acknowledges it, and nobody else
    /// can serve it any more.
    private func flagsOfNextFrame(_ stream: StreamChannel) -> FrameFlags {
        stream.mayHaveBeenSeen = true
        return stream.state.flagsForNextFrame()
    }

    private func writePayload(_ stream: StreamChannel, _ count: Int) {
        var left = count
        while left > 0, let piece = stream.outbound.next(limit: left) {
            left -= piece.bytes.readableBytes
            noteCompletion(piece)
            if piece.bytes.readableBytes <= Self.copied {
                egress.writeImmutableBuffer(piece.bytes)
            } else if let context {
                write(egress, context, completes: false)
                egress.clear()
                write(piece.bytes, context, completes: true)
            }
        }
        assert(left == 0, "a frame with less than its header says")
    }

    private func writeFin(_ stream: StreamChannel) {
        assert(stream.outbound.isEmpty, "FIN comes behind everything that was written")
        let flags = flagsOfNextFrame(stream).union(.fin)
        stream.state.sendFin()
        put(.windowUpdate(stream.state.id, 0, flags: flags))
        completions.append(.fin(stream))
        stream.output = .closed
        // The last bytes of the other side may still be on their way behind their FIN: their end forgets the stream.
        if stream.state.isFinished, !isAwaitingLastBytes(of: stream) { forget(stream) }
    }

    /// Tells the proxy that the application has the stream, unless a frame has done so.
    func acknowledge(_ stream: StreamChannel) {
        assert(stream.mayHaveBeenSeen, "what nobody has seen is not acknowledged")
        assert(stream.session === self, "nothing is said of a stream that is over")
        guard !stream.state.isAnnounced, !stream.state.isReset else { return }
        put(.windowUpdate(stream.state.id, 0, flags: stream.state.flagsForNextFrame()))
    }

    /// Puts a header behind what goes out next.
    func put(_ header: FrameHeader) {
        assert(phase == .open, "nothing is said behind the last word")
        assert(!(header.type == .data && header.flags.contains(.fin)), "FIN never stands beside data")
        egress.writeMultipleIntegers(
            UInt32(header.type.rawValue) << 16 | UInt32(header.flags.rawValue), header.streamID, header.length)
    }

    private func noteCompletion(_ piece: OutboundQueue.Piece) {
        if let promise = piece.promise { completions.append(.promise(promise)) }
    }

    func writeEgress(_ context: ChannelHandlerContext) {
        guard egress.readableBytes > 0 || !completions.isEmpty else { return }
        write(egress, context, completes: true)
        egress.clear()
    }

    /// - Parameter completes: whether all who wait have their last byte in it.
    private func write(_ bytes: ByteBuffer, _ context: ChannelHandlerContext, completes: Bool) {
        guard completes, !completions.isEmpty else {
            if bytes.readableBytes > 0 { context.write(Self.wrapOutboundOut(bytes), promise: nil) }
            return
        }
        let waiting = completions
        completions.removeAll(keepingCapacity: true)
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { result in
            for completion in waiting { completion.complete(result) }
        }
        context.write(Self.wrapOutboundOut(bytes), promise: promise)
    }

    /// The applications learn what they may write now, and that their direction has ended.
    private func tellServed(_ served: [StreamChannel]) {
        for stream in served {
            stream.updateWritability()
            if stream.output == .closed, !stream.isOutputToldFinished {
                stream.isOutputToldFinished = true
                stream.outputFinished()
            }
        }
    }
}
