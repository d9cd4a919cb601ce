/// A service that has been given an exchange: what it has got, and what it makes of it.
final class Attempt {
    enum Plan: Int, CaseIterable {
        case answers, answersEarly, refuses, diesUnsent, diesUnaccepted, diesAccepted, resets, isTakenBack, stalls, ends
    }

    /// How its reply is framed, or why it is none.
    enum Framing: Int, CaseIterable {
        case counted, chunked, padded, untilClose, empty, notModified, unasked, brokenChunk, brokenHead, old
    }

    let number: Int
    /// The request that it carries; -1: a raw connection.
    let request: Int
    let plan: Plan
    var bytes: [UInt8] = []
    /// It may have been executed.
    var isSeen = false
    var isAccepted = false
    var takesBody = true
    /// It has said that it says no more.
    var hasEnded = false
    /// What it says, and how much of it has been said.
    private(set) var reply: [UInt8] = []
    private(set) var said = 0
    /// What its client gets of the body; nil: the reply is none.
    private(set) var body: [UInt8]? = []
    private(set) var endsWithFIN = false
    private(set) var opensTunnel = false

    init(number: Int, request: Int, _ choices: inout Choices) {
        self.number = number
        self.request = request
        // Half of them just answer.
        let plan = choices.number(below: 2 * Plan.allCases.count)
        self.plan = plan < Plan.allCases.count ? Plan.allCases[plan] : .answers
        if choices.oneIn(16) { takesBody = false }
    }

    var hasReplied: Bool { !reply.isEmpty && said == reply.count }

    func sayNext(_ choices: inout Choices) -> ArraySlice<UInt8> {
        let count = choices.some(of: reply.count - said)
        said += count
        return reply[said - count..<said]
    }

    /// What it answers to a request.
    func prepare(for request: ModelRequest, _ choices: inout Choices) {
        var text: [String] = []
        if choices.oneIn(6) { text.append("HTTP/1.1 \(choices.oneIn(2) ? 103 : 100) x\r\n\r\n") }
        let framing = Framing.allCases[choices.number(below: Framing.allCases.count)]
        let marks = "X-Id: \(request.id)\r\nX-Try: \(number)\r\n"
        if request.opensTunnel != (framing == .unasked) {
            opensTunnel = request.opensTunnel
            body = opensTunnel ? [] : nil
            let line = request.kind == .connect ? "200 x" : "101 x\r\nUpgrade: x\r\nConnection: upgrade"
            text.append("HTTP/1.1 \(line)\r\n\(marks)\r\n")
            reply = Array(text.joined().utf8)
            return
        }
        let count = [1, 40, 3_000][choices.number(below: 3)]
        let content = (0..<count).map { UInt8(65 + ($0 + number) % 26) }
        let isBodyless = request.kind == .head
        var tail: [UInt8] = []
        var fields = ""
        var status = request.kind == .connect ? 403 : 200
        switch framing {
        case .counted, .old:
            fields = "Content-Length: \(count)\r\n"
            tail = content
        case .chunked, .padded, .brokenChunk, .unasked:
            fields = "Transfer-Encoding: chunked\r\n"
            let size = String(count, radix: 16) + (framing == .padded ? "  " : "") + "\r\n"
            tail = Array(size.utf8) + content + Array((framing == .brokenChunk ? "\r\n?\r\n" : "\r\n0\r\n\r\n").utf8)
        case .untilClose, .brokenHead:
            tail = content
            endsWithFIN = true
        case .empty: fields = "Content-Length: 0\r\n"
        case .notModified: status = 304
        }
        body = framing == .empty || framing == .notModified || isBodyless ? [] : content
        if framing == .brokenChunk && !isBodyless || framing == .brokenHead { body = nil }
        if isBodyless { tail = [] }
        text.append("HTTP/1.\(framing == .old ? 0 : 1) \(status) x\r\n\(marks)\(fields)")
        text.append(framing == .brokenHead ? "a b: c\r\n\r\n" : "\r\n")
        reply = Array(text.joined().utf8) + tail
    }

    /// What it says on a raw connection.
    func prepareRaw(_ choices: inout Choices) {
        reply = (0..<[0, 1, 2_000][choices.number(below: 3)] + 1).map { UInt8(65 + $0 % 26) }
        body = reply
        endsWithFIN = choices.oneIn(2)
    }
}
