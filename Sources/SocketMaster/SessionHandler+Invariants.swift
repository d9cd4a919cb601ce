import NIOCore
import Yamux

// What holds of a session while none of its functions runs: checked in debug builds at the end of a read cycle, of a
// send, of a tick, and of whatever begins or makes its end.
extension SessionHandler {
    /// Up to so many streams all of them are looked at every time, more only once a second.
    private static let streamsLookedAt = 256

    func checkInvariants(isTick: Bool = false) {
        #if DEBUG
        checkEnds()
        guard phase == .open, let context else { return }
        context.eventLoop.assertInEventLoop()
        checkReceiving()
        checkSending(context)
        if isTick || streams.count <= Self.streamsLookedAt { checkStreams() }
        #endif
    }

    #if DEBUG
    private func checkEnds() {
        assert(phase != .ended || (streams.isEmpty && queued.isEmpty), "a session that has ended has no streams")
        assert(phase != .ended || (ready.isEmpty && completions.isEmpty), "nobody waits for a session that has ended")
        assert(phase != .finishing || (streams.isEmpty && completions.isEmpty), "all is said when no stream is left")
        assert(phase == .open || withdrawal == nil, "a withdrawal is answered before its session ends")
        assert(state.goAwaySent || (drainDeadline == nil && withdrawal == nil), "drains and withdrawals say GoAway")
        assert(state.goAwaySent || farewell.stage == 0, "the last ping comes behind GoAway")
    }

    private func checkReceiving() {
        assert(!isTakingApart && touched.isEmpty, "what has been received is delivered by the end of its read")
        assert(0...settings.backlog ~= queuedCount, "no more streams wait than the backlog has room for")
        assert(queued.count <= queuedCount, "who waits is counted")
        assert(
            streams.count <= max(0, settings.configuration.maximumStreams), "there are no more streams than were wanted"
        )
        assert(
            0...max(0, settings.configuration.maximumExtraWindow) ~= extraWindow, "windows grow within their bound")
        assert(payloadStream == nil || reader.payloadLeft > 0, "a stream gets bytes only within a frame")
        assert(payloadStream == nil || payloadStream?.session === self, "bytes go to no stream that is over")
        assert(!state.goAwayReceived || !streams.isEmpty || idleSince != nil, "a session that is left is given up")
    }

    private func checkSending(_ context: ChannelHandlerContext) {
        assert(!isSendDue || isFlushScheduled || isInReadCycle, "what is due goes out by the end of the turn")
        // The end of a read cycle, a task, or a connection that takes something again.
        let isComing = isSendDue || isLateScheduled || isInReadCycle || !context.channel.isWritable
        assert(isComing || (ready.isEmpty && acknowledgements.isEmpty), "a stream that waits to send will do so")
        assert(isComing || (egress.readableBytes == 0 && completions.isEmpty), "what is written down goes out")
    }

    private func checkStreams() {
        var waiting = 0
        var known = 0
        var growth = 0
        var announced = 0
        for (id, stream) in streams {
            check(stream, id)
            growth += Int(stream.state.receiveWindowGrowth)
            if stream.isReady { announced += 1 }
            guard stream.phase == .queued else { continue }
            waiting += 1
            if stream.knowsClient || !settings.bringsClientAddress { known += 1 }
        }
        assert(waiting == queuedCount, "the streams that wait are counted")
        assert(known == queued.count, "who waits for the application stands in its queue")
        assert(queued.allSatisfy { $0.phase == .queued && $0.session === self }, "nobody else stands in that queue")
        assert(growth == extraWindow, "what windows have grown by is counted")
        assert(ready.allSatisfy(\.isReady), "a stream knows that it stands among those that send")
        assert(announced == ready.count { $0.session === self }, "a stream stands among those that send once")
    }

    private func check(_ stream: StreamChannel, _ id: UInt32) {
        assert(stream.state.id == id && stream.session === self, "a session and its stream know of each other")
        assert(!stream.state.isFinished || isAwaitingLastBytes(of: stream), "a stream that is over is forgotten")
        assert((stream.phase == .closed) == (stream.lingerDeadline != nil), "who has closed has so long to end")
        stream.checkInvariants()
    }
    #endif
}
