internal import Control
internal import NIOCore
internal import NIOHTTP1

/// One client of the service, on its event loop.
///
/// It is read only while it has no request, so a pipeline waits in the kernel, but for what came along in one read. A
/// reply is made and handed over piece by piece, whenever the socket has taken most of what it has got.
final class Connection: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    enum Phase {
        /// There is no request, or a part of one.
        case idle
        /// The control thread has been asked.
        case asking(Request, ReportSource.Ticket)
        case sending(Pieces, closes: Bool)
        /// All of the reply has been handed over, and not all of it taken.
        case flushing(closes: Bool)
        /// What is left of an event. While there is any, others are left out.
        case streaming(ByteBuffer)
        /// All is said, and the client's end awaited: what it may still send would turn our last bytes into a reset.
        case finishing
        case closed
    }

    /// What has come, and is not begun.
    private enum Arrival {
        case request(HTTPRequestHead)
        case fault(Refusal)
    }

    private enum Patience {
        case head
        case idle
        case report
        case stall
        case farewell
    }

    private let reception: Reception
    private var context: ChannelHandlerContext?
    private(set) var phase = Phase.idle
    private var arrivals = CircularBuffer<Arrival>()
    /// No request has been begun.
    private var isFirst = true
    private var isHeadPartial = false
    /// The client has said all; it may still read.
    private var hasInputEnded = false
    private var deadline: Scheduled<Void>?
    // Both loops are left to whoever runs them already.
    private var isServing = false
    private var isPumping = false

    init(_ reception: Reception) { self.reception = reception }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        be(patient: .head)
        context.read()
    }

    func channelInactive(context: ChannelHandlerContext) { end() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Bodies are of no interest: a request that has one is the last.
        if case .head(let head) = unwrapInboundIn(data) { arrive(.request(head)) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        serve()
        switch phase {
        case .idle, .finishing: context.read()
        case .asking, .sending, .flushing, .streaming, .closed: break
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case let news as HeadNews: take(news)
        case ChannelEvent.inputClosed:
            hasInputEnded = true
            serve()
        default: break
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        guard context.channel.isWritable else { return }
        switch phase {
        case .sending, .streaming:
            be(patient: .stall)
            pump()
        case .idle, .asking, .flushing, .finishing, .closed: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // The end of what the client says is told in another way.
        case HTTPParserError.invalidEOFState: break
        case is HTTPParserError:
            arrive(.fault(.malformed))
            serve()
        default: close()
        }
    }

    /// An event for those that stream. Who has not taken the last one gets none.
    func take(event: ByteBuffer) {
        guard case .streaming(let rest) = phase, rest.readableBytes == 0 else { return }
        phase = .streaming(event)
        be(patient: .stall)
        pump()
    }
}

// MARK: requests

extension Connection {
    private func take(_ news: HeadNews) {
        switch news {
        case .isTooLarge:
            arrive(.fault(.headTooLarge))
            serve()
        case .isPartial(let isPartial):
            isHeadPartial = isPartial
            // The first head has its time from the beginning.
            if isPartial, case .idle = phase, !isFirst { be(patient: .head) }
        }
    }

    private func arrive(_ arrival: Arrival) {
        switch phase {
        case .idle, .asking, .sending(_, closes: false), .flushing(closes: false):
            guard arrivals.count < Bounds.pipelined else { return close() }
            arrivals.append(arrival)
        case .sending, .flushing, .streaming, .finishing, .closed: break
        }
    }

    /// Begins what has come, one after the other.
    private func serve() {
        guard !isServing else { return }
        isServing = true
        defer { isServing = false }
        while case .idle = phase, let arrival = arrivals.popFirst() { begin(arrival) }
        guard hasInputEnded else { return }
        switch phase {
        case .idle, .streaming, .finishing: close()
        case .asking, .sending, .flushing, .closed: break
        }
    }

    private func begin(_ arrival: Arrival) {
        isFirst = false
        switch arrival {
        case .fault(let refusal): send(.refusal(refusal), .none)
        case .request(let head):
            var manner = Manner(head)
            switch reception.judge.judge(head) {
            case .failure(let refusal):
                manner.closes = manner.closes || refusal.closes
                send(.refusal(refusal), manner)
            case .success(let subject): begin(Request(subject: subject, manner: manner))
            }
        }
    }

    private func begin(_ request: Request) {
        switch request.subject {
        case .page: send(.page(reception.page), request.manner)
        case .events where !request.manner.isHead && !reception.feed.join(self):
            send(.refusal(.tooManyStreams), request.manner)
        case .events: send(.events, request.manner)
        case .metrics, .health, .readiness, .status: ask(request)
        }
    }

    private func ask(_ request: Request) {
        // Who asks for the head alone is not told anything that could be forgotten then.
        let isScrape = if case .metrics = request.subject { !request.manner.isHead } else { false }
        if let report = reception.source.report(isScrape: isScrape) { return answer(request, report) }
        let ticket = reception.source.wait(isScrape: isScrape) { report in
            if case .asking(let request, _) = self.phase { self.answer(request, report) }
        }
        guard let ticket else { return send(.refusal(.noReport), request.manner) }
        phase = .asking(request, ticket)
        be(patient: .report)
    }

    private func answer(_ request: Request, _ report: Report) {
        switch request.subject {
        case .metrics(let format): send(.metrics(report, format), request.manner)
        case .health: send(.health(report), request.manner)
        case .readiness: send(.readiness(report), request.manner)
        case .status: send(.status(report), request.manner)
        // They need no report.
        case .page, .events: break
        }
    }
}

// MARK: replies

extension Connection {
    private func send(_ reply: Reply, _ manner: Manner) {
        guard let context else { return }
        context.write(wrapOutboundOut(.head(reply.head(for: manner))), promise: nil)
        switch reply.body {
        case _ where manner.isHead: phase = .sending(.bytes(ByteBuffer()), closes: manner.closes)
        case .bytes(let bytes): phase = .sending(.bytes(bytes), closes: manner.closes)
        case .metrics(let text): phase = .sending(.metrics(text), closes: manner.closes)
        case .events: phase = .streaming(ByteBuffer(string: EventFeed.greeting))
        }
        be(patient: .stall)
        pump()
    }

    /// Hands over pieces as long as the socket takes them. The next reply may begin meanwhile, and goes on here.
    private func pump() {
        guard !isPumping, let context else { return }
        isPumping = true
        defer { isPumping = false }
        while context.channel.isWritable {
            switch phase {
            case .sending(var pieces, let closes):
                guard let piece = pieces.next() else {
                    handedOver(closes: closes)
                    continue
                }
                phase = .sending(pieces, closes: closes)
                write(piece)
            case .streaming(var rest):
                guard let piece = rest.readSlice(length: min(rest.readableBytes, Bounds.pieceBytes)),
                    piece.readableBytes > 0
                else {
                    // Until the next event nothing need be taken.
                    deadline?.cancel()
                    return
                }
                phase = .streaming(rest)
                write(piece)
            case .idle, .asking, .flushing, .finishing, .closed: return
            }
        }
    }

    private func write(_ piece: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(piece))), promise: nil)
    }

    private func handedOver(closes: Bool) {
        phase = .flushing(closes: closes)
        be(patient: .stall)
        context?.writeAndFlush(wrapOutboundOut(.end(nil))).assumeIsolated().whenSuccess { self.flushed() }
    }

    private func flushed() {
        guard case .flushing(let closes) = phase else { return }
        if closes { return sayFarewell() }
        phase = .idle
        be(patient: isHeadPartial ? .head : .idle)
        serve()
        if case .idle = phase { context?.read() }
    }

    private func sayFarewell() {
        phase = .finishing
        guard !hasInputEnded else { return close() }
        be(patient: .farewell)
        context?.close(mode: .output, promise: nil)
        context?.read()
    }
}

// MARK: time and end

extension Connection {
    private func be(patient patience: Patience) {
        deadline?.cancel()
        let time =
            switch patience {
            case .head: Bounds.head
            case .idle: Bounds.idle
            case .report: Bounds.report
            case .stall: Bounds.stall
            case .farewell: Bounds.farewell
            }
        deadline = context?.eventLoop.assumeIsolated().scheduleTask(in: time) { self.lose(patience) }
    }

    private func lose(_ patience: Patience) {
        switch (patience, phase) {
        case (.head, .idle) where isHeadPartial:
            arrive(.fault(.headTooLate))
            serve()
        case (.report, .asking(let request, let ticket)):
            reception.source.forget(ticket)
            send(.refusal(.noReport), request.manner)
        case (.head, _), (.idle, _), (.report, _), (.stall, _), (.farewell, _): close()
        }
    }

    private func close() { context?.close(promise: nil) }

    /// Nothing of it is left anywhere.
    private func end() {
        if case .asking(_, let ticket) = phase { reception.source.forget(ticket) }
        reception.feed.leave(self)
        phase = .closed
        arrivals.removeAll()
        deadline?.cancel()
        deadline = nil
    }
}
