import Exchanges
import HTTP1

/// Carries one client's exchanges without sockets, as a reactor does: every decision is `ExchangeState`'s.
final class ModelRelay {
    enum Outcome { case closed, reset }

    private(set) var state = ExchangeState(now: 0)
    private(set) var mode: ConnectionMode
    private var requestHead = RequestHead()
    private var responseHead = ResponseHead()
    private var replyHead: [UInt8] = []
    private var waitedSince: UInt64 = 0
    private var patienceSince: UInt64 = 0
    private var isMidHead = false
    private var closesAfterFlush = false
    private var serviceHasEnded = false
    private var clientEndPassed = false
    private(set) var clientHasEnded = false

    var now: UInt64 = 0
    var timeouts = Timeouts()
    /// What is kept at most, to be sent again.
    var keptLimit = 4_096
    let hold: UInt64 = 2_000
    /// Finds a service; nil: there is none just now.
    var place: () -> Attempt? = { nil }
    /// How many bytes go on at once.
    var room: () -> Int = { .max }

    /// What the client has said and nobody has taken; how many bytes of it have been taken for good.
    private(set) var received: [UInt8] = []
    /// What was passed on of the exchange, as long as it may come again.
    private(set) var kept: [UInt8] = []
    private(set) var attempt: Attempt?
    private(set) var toClient: [UInt8] = []
    private(set) var outcome: Outcome?
    /// Replies of the proxy's own; what a reply was cut for counts as one.
    private(set) var refusals = 0

    init(_ mode: ConnectionMode) { self.mode = mode }

    /// Where it stands, for whoever looks for what is wrong.
    var description: String {
        let deadline = deadline
        let plan = attempt.map { "\($0.plan)" } ?? "none"
        return "\(mode) \(state.request) \(state.reply), service \(plan), \(received.count) bytes aside, "
            + "client ended \(clientHasEnded), awaits \(deadline.end) at \(deadline.time), now \(now)"
    }

    var isWaiting: Bool { waitedSince > 0 && attempt == nil && outcome == nil }

    // MARK: the client

    func clientSays(_ bytes: ArraySlice<UInt8>) {
        guard outcome == nil else { return }
        if received.isEmpty { state.lastProgress = now }
        received += bytes
        feed()
    }

    func clientEnds() {
        clientHasEnded = true
        if mode == .relay { state.past.phaseSince = now }
        if mode == .relay, isWaiting, received.isEmpty { outcome = .closed }
        settle()
    }

    func clientResets() { end(.reset) }

    /// Gives what lies aside to whatever the exchange is at.
    func feed() {
        if mode == .relay, attempt == nil { routeRaw() }
        while outcome == nil, !received.isEmpty {
            let used = mode == .relay ? passOn() : feedHTTP()
            guard used > 0 else { break }
            received.removeFirst(used)
        }
        settle()
    }

    private func feedHTTP() -> Int {
        switch state.request {
        case .head: return beginRequest()
        case .waiting, .finished: return 0
        case .body: return state.isInTrailers ? passTrailers() : passBody()
        case .skipped: return state.skip(received.count)
        case .discarded:
            _ = state.drop(received.count)
            return received.count
        }
    }

    private func beginRequest() -> Int {
        guard state.isUnanswered else { return 0 }
        let status = unsafe padded(received) { unsafe requestHead.scan($0, limits: HeadLimits()) }
        if status == .refused {
            refuse(400)
            return received.count
        }
        guard status == .complete else {
            if !isMidHead { state.past.phaseSince = now }
            isMidHead = true
            return 0
        }
        isMidHead = false
        if !isWaiting { state.note(requestHead, isLast: false, now: now) }
        guard let found = place() else {
            wait()
            return 0
        }
        state.start()
        begin(found, Array(received.prefix(requestHead.byteCount)))
        return requestHead.byteCount
    }

    private func passBody() -> Int {
        guard let attempt, attempt.takesBody else { return 0 }
        let piece = unsafe padded(received) { unsafe state.takeBody($0, atMost: room()) }
        guard !piece.isBroken else {
            giveUp(400)
            return received.count
        }
        pass(received.prefix(piece.count))
        return piece.count
    }

    private func passTrailers() -> Int {
        guard attempt?.takesBody == true else { return 0 }
        let piece = unsafe padded(received) { unsafe state.takeTrailers($0) }
        guard !piece.isBroken else {
            giveUp(400)
            return received.count
        }
        pass(received.prefix(piece.count))
        return piece.count
    }

    private func pass(_ bytes: ArraySlice<UInt8>) {
        state.lastProgress = now
        attempt!.bytes += bytes
        guard state.isKept else { return }
        kept += bytes
        guard kept.count > keptLimit else { return }
        state.forgetKept()
        kept = []
    }

    private func begin(_ found: Attempt, _ head: [UInt8]) {
        attempt = found
        found.bytes = []
        replyHead = []
        waitedSince = 0
        serviceHasEnded = false
        state.past.phaseSince = now
        state.lastProgress = now
        state.beginAttempt()
        pass(head[...])
    }

    // MARK: waiting, and raw connections

    private func wait() {
        if mode == .http { state.beginWait() }
        if waitedSince == 0 { state.past.phaseSince = now }
        if patienceSince == 0 { patienceSince = now + 1 }
        waitedSince = max(1, now)
    }

    /// A service has come: whoever waits looks again.
    func routeAgain() {
        guard isWaiting else { return }
        if mode == .http { state.endWait() }
        feed()
    }

    private func routeRaw() {
        guard let found = place() else { return wait() }
        begin(found, [])
    }

    private func passOn() -> Int {
        guard let attempt, attempt.takesBody, !clientEndPassed else { return 0 }
        let count = min(received.count, room())
        pass(received.prefix(count))
        return count
    }

    // MARK: the service

    func serviceAccepts() {
        attempt!.isAccepted = true
        attempt!.isSeen = true
        if state.isSettledByAcceptance(as: mode) { dropKept() }
        settle()
    }

    func serviceSays(_ bytes: ArraySlice<UInt8>) {
        var rest = Array(bytes)
        while outcome == nil, attempt != nil, !rest.isEmpty {
            if mode == .relay {
                toClient += rest
                state.lastProgress = now
                rest = []
            } else if state.awaitsReply {
                replyHead += rest
                rest = takeReplyHead()
            } else if state.hasBegunReply {
                rest.removeFirst(takeReplyBody(rest))
            } else {
                break
            }
        }
        settle()
    }

    func serviceEnds() {
        if mode == .relay {
            serviceHasEnded = true
        } else if state.isWholeByServiceEnd {
            finishReply()
        } else {
            return lose(.byService, isUndelivered: false)
        }
        settle()
    }

    /// Returns what lies behind the head.
    private func takeReplyHead() -> [UInt8] {
        let status = unsafe padded(replyHead) {
            unsafe responseHead.scan($0, limits: HeadLimits(), request: state.method)
        }
        guard status != .refused else {
            failExchange()
            return []
        }
        guard status == .complete else { return [] }
        let count = responseHead.byteCount
        defer { replyHead = [] }
        let rest = Array(replyHead[count...])
        let step = state.take(responseHead, isLast: false)
        switch step {
        case .unknownInterim: return rest
        case .unaskedRelay: failExchange()
        case .interim, .relay, .reply:
            dropKept()
            sendHead(replyHead[..<count])
            if step == .relay { becomeRelay() }
            if step == .reply, responseHead.framing == .none { finishReply() }
        }
        return rest
    }

    private func sendHead(_ head: ArraySlice<UInt8>) {
        let text = String(decoding: head, as: UTF8.self)
        guard state.decodesChunks, let range = text.firstRange(of: "Transfer-Encoding: chunked\r\n") else {
            toClient += head
            return
        }
        toClient += Array((text[..<range.lowerBound] + text[range.upperBound...]).utf8)
    }

    private func becomeRelay() {
        mode = .relay
        state.endReply()
        state.past.phaseSince = now
        state.lastProgress = now
    }

    private func takeReplyBody(_ bytes: [UInt8]) -> Int {
        state.lastProgress = now
        if state.decodesChunks { return decodeReply(bytes) }
        let piece = unsafe padded(bytes) { unsafe state.takeReply($0) }
        toClient += bytes.prefix(piece.passed)
        judge(piece.status)
        return piece.taken
    }

    private func decodeReply(_ bytes: [UInt8]) -> Int {
        var offset = 0
        var status = ChunkedReader.Status.more
        while true {
            let run = unsafe padded(bytes) { unsafe state.nextData($0, offset: &offset, status: &status) }
            if run.isEmpty { break }
            toClient += bytes[run.lowerBound..<run.upperBound]
        }
        judge(status)
        return status == .more ? bytes.count : max(1, offset)
    }

    private func judge(_ status: ChunkedReader.Status) {
        switch status {
        case .more: break
        case .finished: finishReply()
        case .broken: failExchange()
        }
    }

    private func finishReply() {
        release()
        dropKept()
        state.endAttempts()
        switch state.finishReply(isLast: false) {
        case .next: state.past.phaseSince = now
        case .rest: state.past.phaseSince = now
        case .end:
            state.discardRequest(atMost: 1 << 20)
            closesAfterFlush = true
        case .endAmidRequest: discard()
        }
    }

    private func release() {
        attempt = nil
        patienceSince = 0
    }

    // MARK: what comes to nothing

    func lose(_ loss: Loss, isUndelivered: Bool) {
        let isLate = patienceSince > 0 && now >= patienceSince + hold
        state.count(loss)
        let obstacle = state.obstacle(as: mode, isUndelivered: isUndelivered, isLate: isLate)
        attempt = nil
        switch obstacle {
        case .none:
            if patienceSince == 0 { patienceSince = now + 1 }
            received = kept + received
            kept = []
            isMidHead = false
            state.startAnew(now: now)
            feed()
        case .replyBegun: cut()
        case .mayHaveRun, .notKept, .spent: mode == .relay ? end(.reset) : refuse(502)
        }
    }

    private func failExchange() {
        let awaitsReply = state.awaitsReply
        attempt = nil
        awaitsReply ? refuse(502) : cut()
    }

    private func giveUp(_ status: Int) {
        let hasBegun = state.hasBegunReply
        attempt = nil
        hasBegun ? cut() : refuse(status)
    }

    private func refuse(_ status: Int) {
        guard mode == .http else { return end(.closed) }
        refusals += 1
        toClient += Array("HTTP/1.1 \(status) x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".utf8)
        discard()
    }

    private func cut() {
        refusals += 1
        if mode == .relay || state.endsByClosing { return end(.reset) }
        state.endReply()
        dropKept()
        state.discardRequest(atMost: 1 << 20)
        closesAfterFlush = true
    }

    private func discard() {
        attempt = nil
        waitedSince = 0
        dropKept()
        state.endAttempts()
        received = []
        isMidHead = false
        state.discardRequest(atMost: 1 << 20)
        state.endReply()
        state.past.phaseSince = now
        closesAfterFlush = true
    }

    private func dropKept() {
        state.forgetKept()
        kept = []
    }

    private func end(_ outcome: Outcome) {
        attempt = nil
        self.outcome = outcome
    }

    // MARK: ends, and the clock

    private func settle() {
        guard outcome == nil else { return }
        if mode == .relay { return settleRelay() }
        if clientHasEnded {
            switch state.clientEnd(isMidHead: isMidHead, hasBytes: !received.isEmpty) {
            case .goesOn, .passesEnd, .passesEndIfNothingIsBehind: break
            case .leaves: return end(.closed)
            case .vanishes: return end(.reset)
            case .ends: closesAfterFlush = true
            }
        }
        if closesAfterFlush, state.isUnanswered, attempt == nil, state.request != .head || received.isEmpty || isMidHead
        {
            end(.closed)
        }
    }

    private func settleRelay() {
        guard let attempt else { return }
        if clientEndWaits, attempt.isAccepted || now >= state.endHeldUntil { clientEndPassed = true }
        if clientEndPassed, serviceHasEnded { end(.closed) }
    }

    private var clientEndWaits: Bool { clientHasEnded && received.isEmpty && attempt != nil && !clientEndPassed }

    var deadline: Deadline {
        var situation = Situation(mode)
        situation.isMidHead = isMidHead
        situation.hasServed = true
        situation.hasBytes = !received.isEmpty
        situation.hasAcknowledged = true
        situation.hasEndedDirection = clientHasEnded || serviceHasEnded
        situation.endWaits = clientEndWaits
        if isWaiting { situation.waitEnd = patienceSince + hold }
        return state.deadline(situation, timeouts)
    }

    /// Does what the clock asks for, if it is time.
    func expire() {
        let deadline = deadline
        guard outcome == nil, now >= deadline.time else { return }
        switch deadline.end {
        case .nothing, .silence, .handshake, .sniffing, .unsentBytes: fatalError("nobody is waited for so")
        case .wait: refuse(503)
        case .relay, .nextRequest, .farewell: end(.closed)
        case .relayedBytes: end(.reset)
        case .acceptance: break
        case .restOfBody: discard()
        case .head, .body: giveUp(408)
        case .bodyNotTaken, .reply: giveUp(504)
        case .restOfReply:
            attempt = nil
            cut()
        }
        settle()
    }
}

/// Bytes with 64 readable ones behind them, as everything wants that looks at blocks.
func padded<Result>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let whole = bytes + [UInt8](repeating: 0, count: 64)
    return unsafe whole.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0.dropLast(64))) }
}
