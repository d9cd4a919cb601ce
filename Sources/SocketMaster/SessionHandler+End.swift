import NIOCore
import Yamux

// How a session ends: in good order, by a breach, or because the proxy is gone.
extension SessionHandler {
    /// Once a second: is the proxy alive, does it take what is sent, and which streams have had their time?
    func ticked() {
        tellMetrics()
        guard let context, phase == .open else { return }
        let now = context.eventLoop.now
        switch state.nextLivenessStep(now: milliseconds(now)) {
        case .nothing: break
        case .sendPing(let value):
            put(.ping(value))
            scheduleFlush()
        case .dead: return end(reason: "the proxy does not answer")
        }
        if let unwritableSince, now - unwritableSince > settings.stallTimeout {
            return end(reason: "the proxy takes nothing")
        }
        for stream in streams.values {
            if let deadline = stream.lingerDeadline, deadline <= now { reset(stream) }
        }
        if let drainDeadline, drainDeadline <= now {
            // Resets are short: a proxy that has not taken them by now takes nothing.
            guard drainDeadline + settings.goodbyeTimeout > now else { return end(reason: "the proxy takes nothing") }
            return endDrain()
        }
        // The proxy opens no more of them, and may have forgotten the session.
        let isLeft = state.goAwayReceived && streams.isEmpty
        if isLeft, let idleSince, now - idleSince > settings.lingerTimeout { drain(timeout: .zero) }
        checkInvariants(isTick: true)
    }

    /// Takes no more streams, lets those go on that the application has, and then ends the session.
    func drain(timeout: TimeAmount) {
        guard let context, phase == .open else { return }
        drainDeadline = min(drainDeadline ?? .distantFuture, context.eventLoop.now + timeout)
        if !state.goAwaySent { sayGoAway(now: context.eventLoop.now) }
        giveBack()
        checkInvariants()
    }

    /// Takes no more streams. The application's may go on for as long as they take; the others are still here until
    /// `giveBack`.
    /// - Returns: Fulfilled when the proxy has heard it, or does not answer.
    func withdraw() -> EventLoopFuture<Void>? {
        guard let context, phase == .open, !state.goAwaySent else { return nil }
        sayGoAway(now: context.eventLoop.now)
        let ping = state.barrierPing()
        put(.ping(ping))
        assert(withdrawal == nil, "a session is withdrawn once")
        let promise = context.eventLoop.makePromise(of: Void.self)
        withdrawal = Withdrawal(ping: ping, promise: promise)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: settings.withdrawalTimeout) { bound.value.endWithdrawal() }
        return promise.futureResult
    }

    func endWithdrawal() {
        withdrawal?.promise.succeed()
        withdrawal = nil
    }

    private func sayGoAway(now: NIODeadline) {
        // Whatever is not acknowledged before GoAway counts as never seen, and goes to somebody else.
        for stream in streams.values where stream.mayHaveBeenSeen { acknowledge(stream) }
        state.sendGoAway()
        put(.goAway(.normal))
        for stream in streams.values where stream.lingerDeadline != nil {
            stream.lingerDeadline = now + settings.drainingLingerTimeout
        }
        scheduleFlush()
    }

    /// Gives back what the application has not seen. After GoAway: the proxy would bring it here once more.
    func giveBack() {
        assert(phase != .open || state.goAwaySent, "nothing is given back before GoAway")
        for stream in streams.values where !stream.mayHaveBeenSeen { reset(stream) }
        queued.removeAll()
    }

    /// The time is over.
    private func endDrain() {
        assert(state.goAwaySent, "a drain begins with GoAway")
        for stream in streams.values {
            reset(stream)
            stream.fail(SocketMasterError.sessionLost(reason: "the listener was closed"))
        }
        flush()
    }

    /// With all said, this direction of the connection ends; the proxy's end follows, or is not waited for long. To
    /// close at once could destroy on its way what has just been sent.
    func finishIfDrained() {
        guard state.goAwaySent, withdrawal == nil, streams.isEmpty, egress.readableBytes == 0, phase == .open,
            let context
        else { return }
        guard mayFinish(context) else { return }
        assert(completions.isEmpty && queuedCount == 0, "nobody waits when all is said")
        phase = .finishing
        context.close(mode: .output, promise: nil)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        finishTask = context.eventLoop.scheduleTask(in: settings.goodbyeTimeout) {
            bound.value.end(reason: "all was said")
        }
    }

    /// Streams that the proxy had opened before it heard GoAway may still be on their way, behind the answer to a ping
    /// that overtakes data. Each of them is refused; without that, the proxy could not know that nobody has seen it.
    private func mayFinish(_ context: ChannelHandlerContext) -> Bool {
        switch farewell {
        case .none:
            let ping = state.barrierPing()
            farewell = .sent(ping)
            put(.ping(ping))
            scheduleFlush()
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: settings.goodbyeTimeout) {
                bound.value.farewell = .answered
                bound.value.finishIfDrained()
            }
            return false
        case .sent(let ping):
            if state.isAnswered(ping) { farewell = .answered }
            return state.isAnswered(ping)
        case .answered: return true
        }
    }

    func breach(_ breach: Breach) {
        guard let context, phase == .open else { return }
        put(.goAway(.protocolError))
        writeEgress(context)
        context.flush()
        end(reason: "\(breach)")
    }

    /// The session is over, and with it all that it carried.
    func end(reason: String, cause: (any Error)? = nil) {
        guard phase != .ended else { return }
        let isOrderly = phase == .finishing || state.goAwaySent && streams.isEmpty
        phase = .ended
        tick?.cancel()
        finishTask?.cancel()
        endWithdrawal()
        let error = SocketMasterError.sessionLost(reason: reason, cause: cause)
        for completion in completions { completion.complete(.failure(error)) }
        completions.removeAll()
        ready.removeAll()
        queued.removeAll()
        acknowledgements.removeAll()
        payloadStream = nil
        // What is left of the bytes is nobody's.
        isTakingApart = false
        deliverTouched()
        // The end of the read cycle may not be told any more.
        isInReadCycle = false
        acceptor.passOn(from: self)
        let lost = streams.values
        streams = [:]
        for stream in lost { stream.fail(error) }
        tellMetrics()
        context?.close(promise: nil)
        onEvent(.ended(reason: isOrderly ? "all was said" : reason))
        checkInvariants()
    }
}
