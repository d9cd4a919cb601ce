import NIOCore
import Yamux

// How a session ends: in good order, by a breach, or because the proxy is gone.
extension SessionHandler {
    /// Once a second: is the proxy alive, does it take what is sent, and which streams have had their time?
    func ticked() {
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
    }

    /// Takes no more streams, lets those go on that the application has, and then ends the session.
    func drain(timeout: TimeAmount) {
        guard let context, phase == .open, !state.goAwaySent else { return }
        // Whatever is not acknowledged before GoAway counts as never seen, and goes to somebody else.
        for stream in streams.values {
            if stream.mayHaveBeenSeen { acknowledge(stream) } else { reset(stream) }
        }
        queued.removeAll()
        state.sendGoAway()
        put(.goAway(.normal))
        let now = context.eventLoop.now
        drainDeadline = now + timeout
        for stream in streams.values where stream.lingerDeadline != nil {
            stream.lingerDeadline = now + settings.drainingLingerTimeout
        }
        scheduleFlush()
    }

    /// The time is over.
    private func endDrain() {
        for stream in streams.values {
            reset(stream)
            stream.fail(SocketMasterError.sessionLost(reason: "the listener was closed"))
        }
        flush()
    }

    /// With all said, this direction of the connection ends; the proxy's end follows, or is not waited for long. To
    /// close at once could destroy on its way what has just been sent.
    func finishIfDrained() {
        guard state.goAwaySent, streams.isEmpty, egress.readableBytes == 0, phase == .open, let context else { return }
        phase = .finishing
        context.close(mode: .output, promise: nil)
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        finishTask = context.eventLoop.scheduleTask(in: settings.goodbyeTimeout) {
            bound.value.end(reason: "all was said")
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
    func end(reason: String) {
        guard phase != .ended else { return }
        let isOrderly = phase == .finishing
        phase = .ended
        tick?.cancel()
        finishTask?.cancel()
        let error = SocketMasterError.sessionLost(reason: reason)
        for completion in completions { completion.complete(.failure(error)) }
        completions.removeAll()
        ready.removeAll()
        queued.removeAll()
        acknowledgements.removeAll()
        payloadStream = nil
        deliverTouched()
        // The end of the read cycle may not be told any more.
        isInReadCycle = false
        acceptor.passOn(from: self)
        let lost = streams.values
        streams = [:]
        for stream in lost { stream.fail(error) }
        context?.close(promise: nil)
        onEvent(.ended(reason: isOrderly ? "all was said" : reason))
    }
}
