import Exchanges
import HTTP1

/// A client, what carries its exchanges, and services that accept, refuse, stall and die, in virtual time. Who moves
/// next, and how, is decided by the input; whatever it says, what `breach` looks for must hold.
final class ExchangeWorld {
    private var choices: Choices
    private let relay: ModelRelay
    private let requests: [ModelRequest]
    /// All that the client says, and where each request ends.
    private let stream: [UInt8]
    private let ends: [Int]
    private let pipelines: Bool
    private let isRaw: Bool
    private var said = 0
    private var attempts: [Attempt] = []
    private var hasServices = true
    private var steps = 0
    /// The clock has done what it asks for, and still asks for it.
    private var isOverdue = false
    private(set) var repeats = 0
    private(set) var replies = 0

    init(_ input: Choices) {
        var choices = input
        isRaw = choices.oneIn(6)
        pipelines = choices.oneIn(2)
        var made: [ModelRequest] = []
        for id in 0...choices.number(below: 4) where !isRaw { made.append(ModelRequest(id: id, &choices)) }
        requests = made
        let raw = (0..<[0, 3, 6_000][choices.number(below: 3)]).map { UInt8(97 + $0 % 26) }
        stream = isRaw ? raw : made.flatMap(\.text)
        ends = made.indices.map { index in made[...index].reduce(0) { $0 + $1.text.count } }
        relay = ModelRelay(isRaw ? .relay : .http)
        relay.timeouts.reply = 500
        relay.timeouts.relayIdle = choices.oneIn(2) ? 5_000 : 700
        relay.timeouts.stall = choices.oneIn(2) ? 3_000 : 300
        relay.timeouts.idle = 900
        relay.timeouts.head = 200
        relay.keptLimit = choices.oneIn(4) ? 100 : 65_536
        self.choices = choices
        relay.place = { [unowned self] in find() }
        relay.room = { [unowned self] in self.choices.some(of: 4_096) }
    }

    /// Lets everybody move until the connection has ended. Returns what was wrong, or nil.
    func run() -> String? {
        if isRaw { relay.feed() }
        while relay.outcome == nil {
            steps += 1
            guard steps < 100_000 else { return "it goes on for ever: \(relay.description)" }
            move()
            if let breach = breach { return breach }
        }
        return breachOfReplies
    }

    // MARK: who moves

    private enum Mover { case client, service, services, clock }

    private func move() {
        var movers: [Mover] = []
        if canServiceMove { movers.append(.service) }
        if canClientMove { movers.append(.client) }
        if relay.isWaiting, !hasServices { movers.append(.services) }
        if movers.isEmpty || choices.oneIn(16) { movers = [.clock] }
        switch movers[choices.number(below: movers.count)] {
        case .client: moveClient()
        case .service: moveService(relay.attempt!)
        case .services:
            hasServices = true
            relay.routeAgain()
        case .clock: moveClock(isNeeded: movers == [.clock] && !canClientMove && !canServiceMove)
        }
    }

    /// - Parameter isNeeded: nobody else can move, so it goes on to where somebody's patience ends.
    private func moveClock(isNeeded: Bool) {
        relay.now += UInt64(1 + choices.number(below: 64))
        let deadline = relay.deadline.time
        if isNeeded { relay.now = deadline == .max ? .max : max(relay.now, deadline) }
        if relay.now < .max { relay.expire() }
        isOverdue = relay.outcome == nil && relay.deadline.time <= relay.now
    }

    private var canClientMove: Bool {
        guard !relay.clientHasEnded else { return false }
        guard !isRaw, !pipelines, said < stream.count else { return true }
        // The next request comes behind the reply to the one before.
        guard let begun = ends.firstIndex(where: { $0 > said }) else { return true }
        return begun == 0 || said > ends[begun - 1]
            || readReplies(relay.toClient, to: requests, isClosed: false).filter(\.isWhole).count >= begun
    }

    private func moveClient() {
        if choices.oneIn(64) { return relay.clientResets() }
        guard said < stream.count, !choices.oneIn(64) else {
            // Whoever has had all replies goes; a relay's end is its own affair.
            return relay.clientEnds()
        }
        let end = pipelines || isRaw ? stream.count : ends.first { $0 > said }!
        let count = choices.some(of: end - said)
        said += count
        relay.clientSays(stream[said - count..<said])
    }

    private func find() -> Attempt? {
        guard hasServices, !choices.oneIn(8) else {
            hasServices = false
            return nil
        }
        let taken = said - relay.received.count
        let request = isRaw ? -1 : ends.firstIndex { $0 > taken }!
        let attempt = Attempt(number: attempts.count, request: request, &choices)
        attempts.append(attempt)
        return attempt
    }

    private var canServiceMove: Bool {
        guard let attempt = relay.attempt, !attempt.hasEnded else { return false }
        switch attempt.plan {
        case .stalls: return false
        case .isTakenBack: return mayBeTakenBack(attempt)
        case .answersEarly: return !attempt.hasReplied || attempt.endsWithFIN
        case .answers:
            guard attempt.isAccepted, attempt.reply.isEmpty, attempt.request >= 0 else {
                return !attempt.hasReplied || attempt.endsWithFIN
            }
            return attempt.bytes.count >= requests[attempt.request].text.count
        case .refuses, .diesUnsent, .diesUnaccepted, .diesAccepted, .resets, .ends: return true
        }
    }

    private func mayBeTakenBack(_ attempt: Attempt) -> Bool {
        attempt.request >= 0 && requests[attempt.request].isIdempotent
    }

    private func moveService(_ attempt: Attempt) {
        switch attempt.plan {
        case .answers, .answersEarly: answer(attempt)
        case .refuses, .diesUnsent: relay.lose(.undelivered, isUndelivered: true)
        case .diesUnaccepted:
            attempt.isSeen = true
            relay.lose(loss(), isUndelivered: false)
        case .isTakenBack:
            attempt.isSeen = true
            relay.lose(.notAccepted, isUndelivered: false)
        case .diesAccepted, .resets, .ends:
            guard attempt.isAccepted else { return relay.serviceAccepts() }
            if attempt.plan == .ends { return end(attempt) }
            relay.lose(attempt.plan == .resets ? .byService : loss(), isUndelivered: false)
        case .stalls: break
        }
    }

    private func end(_ attempt: Attempt) {
        attempt.hasEnded = true
        relay.serviceEnds()
    }

    private func loss() -> Loss {
        [.withUnproven, .withSession, .withYoung(isAlone: true), .withYoung(isAlone: false), .besideSuspect][
            choices.number(below: 5)]
    }

    private func answer(_ attempt: Attempt) {
        guard attempt.isAccepted else { return relay.serviceAccepts() }
        if attempt.reply.isEmpty {
            if attempt.request < 0 {
                attempt.prepareRaw(&choices)
            } else {
                attempt.prepare(for: requests[attempt.request], &choices)
            }
        }
        if choices.oneIn(32) { return relay.lose(loss(), isUndelivered: false) }
        guard attempt.said < attempt.reply.count else { return end(attempt) }
        relay.serviceSays(attempt.sayNext(&choices))
    }

    // MARK: what must hold

    /// What is wrong after a step, or nil.
    private var breach: String? {
        let state = relay.state
        if relay.now == .max { return "nobody can move, and no clock runs" }
        if isOverdue { return "a deadline that has passed is over: \(relay.description)" }
        if state.lastProgress > relay.now { return "progress that is to come" }
        if relay.outcome != nil { return breachOfAttempts }
        if !isRaw, relay.mode == .http, (state.request == .waiting) != relay.isWaiting { return "a wait is a phase" }
        if state.isKept, relay.attempt.map({ $0.bytes != relay.kept }) ?? false { return "what is kept is all" }
        if !state.isKept, !relay.kept.isEmpty { return "what is not kept is gone" }
        if relay.mode == .http, (relay.attempt != nil) == state.isUnanswered { return "who is served awaits a reply" }
        if state.past.attempts.counted > 3 { return "attempts are bounded" }
        return breachOfAttempts
    }

    /// What a service has got is what the client said to it, from its request's first byte on, and no byte behind it.
    private var breachOfAttempts: String? {
        guard let attempt = attempts.last else { return nil }
        let start = attempt.request > 0 ? ends[attempt.request - 1] : 0
        guard stream[start...].starts(with: attempt.bytes) else { return "a service gets what its client says" }
        guard attempt.request >= 0, relay.mode == .http else { return nil }
        return attempt.bytes.count > requests[attempt.request].text.count ? "a request ends where it ends" : nil
    }

    /// Replies come in the order of requests, each from the service that made it, whole or visibly not.
    private var breachOfReplies: String? {
        if let breach = breachOfRepeats { return breach }
        if isRaw { return breachOfRaw }
        let replies = readReplies(relay.toClient, to: requests, isClosed: relay.outcome == .closed)
        self.replies = replies.count { $0.isWhole && $0.id >= 0 }
        guard replies.count <= requests.count else { return "no more replies than requests" }
        for (place, reply) in replies.enumerated() {
            if !reply.isWhole {
                if place + 1 < replies.count { return "nothing follows a reply that was cut" }
                continue
            }
            guard reply.id >= 0 else {
                if reply.status < 400 || place + 1 < replies.count { return "a refusal is the last word" }
                continue
            }
            let attempt = attempts[reply.attempt]
            guard reply.id == place, attempt.request == place else { return "replies come in the order of requests" }
            guard let body = attempt.body else { return "a reply that is none is not whole" }
            if !reply.isTunnel, reply.body != body { return "a client gets what its service says" }
        }
        return nil
    }

    private var breachOfRaw: String? {
        let answers = attempts.filter { $0.said > 0 }
        if answers.count > 1 { return "a raw connection that was answered does not come again" }
        let body = answers.first?.reply.prefix(answers[0].said) ?? []
        return relay.toClient.elementsEqual(body) ? nil : "a client gets what its service says"
    }

    /// What must not be executed twice reaches one service at most; what may, not more than is bounded.
    private var breachOfRepeats: String? {
        repeats = attempts.count - Set(attempts.map(\.request)).count
        for request in requests.indices {
            let its = attempts.filter { $0.request == request }
            if its.count > 3 + 8 { return "attempts are bounded" }
            if !requests[request].isIdempotent, its.filter(\.isSeen).count > 1 { return "nothing is executed twice" }
        }
        if isRaw, attempts.filter(\.isAccepted).count > 1 { return "what was accepted is not sent again" }
        return nil
    }
}
