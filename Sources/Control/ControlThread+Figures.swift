internal import Logging
internal import Memory
internal import Proxy

// What SIGUSR1 asks for: the figures of the process and of each listener.
extension ControlThread {
    func tellFigures() {
        log.notice("now: \(text(FigureLabels.levels)); so far: \(text(FigureLabels.sums))")
        for (slot, listener) in registry.listeners.open.sorted(by: { $0.slot < $1.slot }) {
            let waiting = plane.waitingClients.onListener(slot)
            let bytes = plane.waitingBytes.onListener(slot)
            let figures = text { plane.sum($0, ofListener: slot) }
            log.notice("on \(listener.address): waiting \(waiting) with \(bytes) bytes; \(figures)")
        }
        let closed = text { sumOfClosed($0) }
        guard ListenerCounter.allCases.contains(where: { sumOfClosed($0) > 0 }) else { return }
        log.notice("on ports that have been closed: \(closed)")
    }

    /// The listener has been closed by all reactors: its figures are added to those of all that were before it, and go
    /// on in reports when the address is opened again.
    func keepFigures(ofClosed slot: Int, at address: PublicAddress) {
        let counts = ListenerCounter.allCases.map { plane.sum($0, ofListener: slot) }
        for (counter, count) in zip(ListenerCounter.allCases, counts) { figuresOfClosed[counter, default: 0] += count }
        keep(counts, ofClosed: address)
        plane.clearFigures(ofListener: slot)
    }

    /// What was counted until listeners were closed, and what has become of their clients since.
    private func sumOfClosed(_ counter: ListenerCounter) -> UInt64 {
        figuresOfClosed[counter, default: 0] + plane.sum(counter, ofListener: plane.limits.listeners)
    }

    /// The first figures always, and of the many ways of being turned away those that have happened.
    private func text(_ sum: (ListenerCounter) -> UInt64) -> String {
        counterTexts.map { (text: $0, count: sum($0.counter)) }
            .filter { $0.text.isAlwaysShown || $0.count > 0 }
            .map { "\($0.text.label) \($0.count)" }.joined(separator: ", ")
    }

    private func text(_ counters: [(Counter, String)]) -> String {
        counters.map { "\($0.1) \(plane.sum($0.0))" }.joined(separator: ", ")
    }
}

/// What the process's figures are called.
enum FigureLabels {
    /// What there is now.
    static let levels: [(Counter, String)] = [
        (.connections, "connections"), (.waiting, "waiting"), (.sessions, "sessions"), (.streams, "streams"),
        (.blocksInUse, "blocks"), (.keptBlocks, "kept"), (.handshaking, "handshakes"), (.pipesInUse, "pipes"),
    ]
    /// What has happened so far.
    static let sums: [(Counter, String)] = [
        (.accepted, "accepted"), (.requests, "requests"), (.handedOver, "handed over"), (.failed, "failed"),
        (.resets, "reset"), (.overflows, "overflows"), (.starved, "receives without a buffer"), (.turns, "turns"),
        (.splicedToSessions, "bytes spliced to services"), (.splicedToClients, "bytes spliced to clients"),
        (.pipesMissed, "pipes missed"), (.framesCut, "frames cut"), (.idleRelays, "relays idle"),
        (.handshakes, "handshakes"), (.resumed, "resumed"), (.handshakesFailed, "handshakes failed"),
        (.handshakesWithoutVersion, "TLS no version"), (.handshakesWithoutSuite, "TLS no suite"),
        (.handshakesWithoutProtocol, "TLS no protocol"), (.handshakesGivenUp, "TLS given up"),
        (.handshakesOfNoTLS, "TLS not spoken"), (.handshakesBroken, "TLS broken"),
        (.handshakesExpired, "TLS too slow"), (.handshakesLeft, "TLS left"),
        (.handshakesCrowded, "TLS too many"), (.handshakesWithoutMemory, "TLS no memory"),
        (.handshakesWithoutCertificate, "TLS no certificate"), (.handshakesDrained, "TLS stopping"),
        (.pausesAtLimit, "pauses at --max-connections"), (.pausesByError, "pauses by errors"),
        (.held, "held"), (.released, "released"), (.expired, "expired"), (.refused, "refused"),
        (.acceptPaused, "reactors that let nobody in now"),
    ]
}
