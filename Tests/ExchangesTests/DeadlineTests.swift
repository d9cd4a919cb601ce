import Exchanges
import Testing

/// Every situation of every phase, against the rules one by one.
@Suite struct DeadlineTests {
    private let timeouts: Timeouts = {
        var timeouts = Timeouts()
        timeouts.reply = 11_000
        timeouts.relayIdle = 13_000
        return timeouts
    }()

    /// The phases in which an exchange of HTTP can be, at time 1000, with progress at 5000.
    private var states: [(String, ExchangeState)] {
        let reply = "HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\n"
        var states: [(String, ExchangeState)] = [("head", ExchangeState(now: 1_000))]
        var waiting = ExchangeState(now: 1_000)
        waiting.beginWait()
        states.append(("waiting", waiting))
        for (name, head) in [("get", get), ("body", counted), ("expecting", expecting)] {
            states.append((name, started(head, now: 1_000)))
            var replied = started(head, now: 1_000)
            _ = replied.take(reply)
            states.append((name + ", replied", replied))
        }
        var skipped = started(counted, now: 1_000)
        _ = skipped.take(reply)
        _ = skipped.finishReply(isLast: false)
        states.append(("skipped", skipped))
        for left: UInt64 in [0, 9] {
            var discarded = ExchangeState(now: 1_000)
            discarded.discardRequest(atMost: left)
            states.append(("discarded, \(left)", discarded))
        }
        return states.map { name, state in
            var state = state
            state.lastProgress = 5_000
            return (name, state)
        }
    }

    private func situation(_ mode: ConnectionMode, _ bits: Int) -> Situation {
        var situation = Situation(mode)
        situation.isShaking = bits & 1 != 0
        situation.isMidHead = bits & 2 != 0
        situation.hasServed = bits & 4 != 0
        situation.hasBytes = bits & 8 != 0
        situation.hasBulk = bits & 16 != 0
        situation.hasUnsent = bits & 32 != 0
        situation.hasAcknowledged = bits & 64 != 0
        situation.finishSent = bits & 128 != 0
        situation.endWaits = bits & 256 != 0
        situation.hasEndedDirection = situation.endWaits || bits & 512 != 0
        situation.waitEnd = bits & 1024 != 0 ? 3_000 : 0
        situation.silenceEnd = bits & 2048 != 0 ? 2_000 : .max
        return situation
    }

    /// What comes before everything else.
    private func first(_ situation: Situation) -> Deadline? {
        if situation.silenceEnd < .max { return Deadline(2_000, .silence) }
        if situation.isShaking { return Deadline(11_000, .handshake) }
        if situation.waitEnd > 0 { return Deadline(3_000, .wait) }
        return nil
    }

    private func ofHTTP(_ name: String, _ now: Situation) -> Deadline {
        if now.hasUnsent { return Deadline(65_000, .unsentBytes) }
        let hasAll = now.finishSent && now.hasAcknowledged
        if name.hasPrefix("body") || name.hasPrefix("expecting"), now.hasBytes || now.hasBulk {
            return Deadline(65_000, .bodyNotTaken)
        }
        switch name {
        case "head":
            let patience: UInt64 = now.isMidHead || !now.hasServed ? 30_000 : 75_000
            return Deadline(1_000 + patience, now.isMidHead || now.hasBytes ? .head : .nextRequest)
        case "waiting": return .never
        case "get", "expecting": return Deadline(16_000, .reply)
        case "body": return Deadline(65_000, .body)
        case "get, replied", "body, replied", "expecting, replied": return Deadline(18_000, .restOfReply)
        case "skipped": return Deadline(61_000, .restOfBody)
        case "discarded, 0" where now.finishSent: return Deadline(hasAll ? 1_000 : 3_000, .farewell)
        default: return Deadline(hasAll ? 3_000 : 61_000, .farewell)
        }
    }

    /// An upload may take longer than the reply.
    @Test func `a reply is awaited from the last byte of its request`() {
        for (name, var state) in states where ["get", "expecting"].contains(name) {
            for (begun, lastByte) in [(1_000, 5_000), (5_000, 1_000), (5_000, 5_000)] as [(UInt64, UInt64)] {
                state.past.phaseSince = begun
                state.lastProgress = lastByte
                let deadline = state.deadline(Situation(.http), timeouts)
                #expect(deadline.time == 16_000 && deadline.end == .reply)
            }
        }
    }

    @Test func `of HTTP, by phase`() {
        for (name, state) in states {
            for bits in 0..<4096 {
                let now = situation(.http, bits)
                let deadline = state.deadline(now, timeouts)
                let wanted = first(now) ?? ofHTTP(name, now)
                #expect(deadline.time == wanted.time && deadline.end == wanted.end, "\(name), \(now)")
            }
        }
    }

    @Test func `of relays, and of those that have not said enough`() {
        let state = states[0].1
        for relayIdle: UInt64 in [0, 13_000, 90_000] {
            var timeouts = timeouts
            timeouts.relayIdle = relayIdle
            for bits in 0..<4096 {
                let now = situation(.relay, bits)
                let wanted = first(now) ?? ofRelays(now, relayIdle)
                let deadline = state.deadline(now, timeouts)
                #expect(deadline.time == wanted.time, "\(now)")
                #expect(deadline.end == wanted.end || deadline.time == .max, "\(now)")
                let undecided = state.deadline(situation(.undecided, bits), timeouts)
                let sniffing = first(now) ?? Deadline(2_000, .sniffing)
                #expect(undecided.time == sniffing.time && undecided.end == sniffing.end)
            }
        }
    }

    private func ofRelays(_ now: Situation, _ relayIdle: UInt64) -> Deadline {
        if now.endWaits { return Deadline(2_000, .acceptance) }
        let isStuck = now.hasEndedDirection && (now.hasUnsent || now.hasBytes || now.hasBulk)
        if isStuck, relayIdle == 0 || relayIdle > 60_000 { return Deadline(65_000, .relayedBytes) }
        return relayIdle > 0 ? Deadline(5_000 + relayIdle, .relay) : .never
    }

    /// With nothing but what is always there: a relay is silent for ever, unless bytes wait for a side that has none.
    @Test func `without flags relays and replies may take for ever`() {
        let timeouts = Timeouts()
        var now = Situation(.relay)
        #expect(states[0].1.deadline(now, timeouts).time == .max)
        now.hasUnsent = true
        #expect(states[0].1.deadline(now, timeouts).time == .max)
        now.hasEndedDirection = true
        let deadline = states[0].1.deadline(now, timeouts)
        #expect(deadline.time == 65_000 && deadline.end == .relayedBytes)
        #expect(started(get).deadline(Situation(.http), timeouts).time == .max)
    }
}
