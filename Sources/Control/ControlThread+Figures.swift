internal import Logging
internal import Memory
internal import Proxy

// What SIGUSR1 asks for: the figures of the process and of each listener.
extension ControlThread {
    func tellFigures() {
        let levels: [(Counter, String)] = [
            (.connections, "connections"), (.waiting, "waiting"), (.sessions, "sessions"), (.streams, "streams"),
            (.blocksInUse, "blocks"), (.keptBlocks, "kept"), (.handshaking, "handshakes"), (.pipesInUse, "pipes"),
        ]
        let sums: [(Counter, String)] = [
            (.accepted, "accepted"), (.requests, "requests"), (.handedOver, "handed over"), (.failed, "failed"),
            (.resets, "reset"), (.overflows, "overflows"), (.starved, "receives without a buffer"), (.turns, "turns"),
            (.handshakes, "handshakes"), (.resumed, "resumed"),
            (.handshakesFailed, "handshakes failed"), (.handshakesWithoutVersion, "for want of a version"),
            (.handshakesWithoutSuite, "of a suite"), (.handshakesWithoutProtocol, "of a protocol"),
            (.handshakesGivenUp, "given up by clients"), (.handshakesOfNoTLS, "without TLS"),
            (.handshakesExpired, "too slow"), (.splicedToSessions, "bytes spliced to services"),
            (.splicedToClients, "bytes spliced to clients"), (.pipesMissed, "pipes missed"),
            (.framesCut, "frames cut"), (.idleRelays, "relays idle"),
            (.idleEnded, "idle clients ended for others"),
        ]
        log.notice("now: \(text(levels)); so far: \(text(sums))")
        for (slot, listener) in registry.listeners.open.sorted(by: { $0.slot < $1.slot }) {
            let waiting = plane.waitingClients.onListener(slot)
            let bytes = plane.waitingBytes.onListener(slot)
            let figures = ListenerCounter.allCases.map { "\($0.label) \(plane.sum($0, ofListener: slot))" }
            log.notice(
                "on \(listener.address): waiting \(waiting) with \(bytes) bytes; \(figures.joined(separator: ", "))")
        }
    }

    private func text(_ counters: [(Counter, String)]) -> String {
        counters.map { "\($0.1) \(plane.sum($0.0))" }.joined(separator: ", ")
    }
}

extension ListenerCounter {
    fileprivate var label: String {
        switch self {
        case .held: "held"
        case .released: "released"
        case .expired: "expired"
        case .refused: "refused"
        case .sentAgain: "sent again"
        case .takenBack: "taken back"
        case .failedMayHaveRun: "failed for they may have been executed"
        case .failedNotKept: "failed for they were too large"
        case .failedSpent: "failed after all attempts"
        case .failedBroken: "failed by invalid replies"
        case .cut: "cut"
        case .failedTooLarge: "failed by replies with too large heads"
        case .failedTooManyFields: "with too many fields"
        case .failedNotHTTP: "that were not HTTP"
        case .failedBadFields: "with invalid fields"
        case .failedBadFraming: "with ambiguous lengths"
        case .failedUnaskedSwitch: "that switched unasked"
        case .cutBrokenChunks: "cut for broken chunks"
        }
    }
}
