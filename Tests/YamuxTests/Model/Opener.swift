import TestSupport
import Yamux

/// Our end, made of the structs under test in the way that the data plane uses them, with a random workload.
final class Opener {
    /// What is to be sent on a stream and how it is to end.
    struct Job {
        var bytes: Int
        /// Reset so many milliseconds after opening, if it still goes then.
        var abortsAfter: UInt64?
        /// Takes nothing of what it receives until everything has to end.
        var isLazy = false
        /// Sends no FIN before so many milliseconds have passed.
        var lives: UInt64 = 0
        /// Takes streams back with a barrier instead of letting them wait longer than this to be accepted.
        var patience: UInt64?
    }

    final class Stream {
        var state: StreamState
        /// How many streams were announced before it: ids come again.
        let number: Int
        let job: Job
        let openedAt: UInt64
        var sent = 0
        var received = 0
        var consumed = 0
        var allSentAt: UInt64?
        var barrier: UInt32?
        var frameLengthLeft = 0
        var isDropping = false

        init(id: UInt32, number: Int, job: Job, now: UInt64) {
            state = StreamState(id: id)
            self.number = number
            self.job = job
            openedAt = now
        }
    }

    /// How a stream has ended.
    enum Fate { case complete, reset, refused, aborted, takenBack, takenBackTooLate }

    var session: SessionState
    private var reader = FrameReader()
    private(set) var streams: [UInt32: Stream] = [:]
    /// The same in the order of their opening, and some that are gone.
    private var ordered: [Stream] = []
    /// The ids of all that were announced, and what has become of them, by their numbers.
    private(set) var announced: [UInt32] = []
    private(set) var fates: [Int: Fate] = [:]
    private(set) var receivedCounts: [Int: Int] = [:]
    private(set) var passedOver = 0
    private(set) var violations: [String] = []
    private(set) var breach = Breach.none
    private(set) var probes = 0
    private(set) var isDead = false
    private var outbound: [UInt8] = []
    private var current: Stream?
    private var generator: SeededGenerator
    var jobs: [Job] = []
    /// Streams at a time.
    var maximum = Int.max

    init(seed: UInt64, limits: SessionLimits = SessionLimits(), firstStreamID: UInt32? = nil) {
        session = SessionState(role: .opener, limits: limits, firstStreamID: firstStreamID)
        generator = SeededGenerator(seed: seed)
    }

    func takeOutbound() -> [UInt8] {
        defer { outbound.removeAll(keepingCapacity: true) }
        return outbound
    }

    private func violation(_ text: String) {
        violations.append(text)
    }
}

// MARK: receiving

extension Opener {
    func receive(_ bytes: [UInt8], now: UInt64) {
        guard breach == .none, !bytes.isEmpty else { return }
        session.noteReceived(now: now)
        reader.read(bytes) { event, piece in
            guard breach == .none else { return }
            switch event.kind {
            case .header: receiveHeader(event.header, now: now)
            case .payload: receivePayload(piece, isEnd: event.isPayloadEnd)
            case .breach: breach = event.breach
            case .needsBytes: break
            }
        }
    }

    private func receiveHeader(_ header: FrameHeader, now: UInt64) {
        switch header.type {
        case .ping, .goAway: act(session.receiveSessionFrame(header, now: now), now: now)
        case .data, .windowUpdate:
            current = streams[header.streamID]
            guard let stream = current else {
                return act(session.receiveUnknownStream(header, now: now), now: now)
            }
            receive(header, on: stream)
        }
    }

    private func act(_ action: SessionAction, now: UInt64) {
        switch action {
        case .nothing: break
        case .answerPing(let value): outbound += FrameHeader.pong(value).bytes
        case .pong: settleBarriers()
        case .drain: drain()
        case .refuseStream(let id): outbound += FrameHeader.reset(id).bytes
        case .acceptStream: violation("an opener accepted a stream")
        case .breach(let reason): breach = reason
        }
    }

    private func receive(_ header: FrameHeader, on stream: Stream) {
        let event = stream.state.receive(header)
        let id = header.streamID
        if event.breach != .none {
            breach = event.breach
            return
        }
        if event.contains(.acknowledged) { session.acknowledged(id) }
        if event.contains(.acknowledgedLate) {
            session.acknowledgedLate(id)
            fates[stream.number] = .takenBackTooLate
        }
        if event.contains(.refused), session.refused(id) != .none { breach = .refusalFlood }
        stream.isDropping = event.contains(.late) || event.contains(.reset)
        stream.frameLengthLeft = header.type == .data ? Int(header.length) : 0
        if event.contains(.reset) { fates[stream.number] = event.contains(.refused) ? .refused : .reset }
        if stream.frameLengthLeft == 0 { forgetIfOver(stream) }
    }

    private func receivePayload(_ piece: ArraySlice<UInt8>, isEnd: Bool) {
        guard let stream = current else { return }
        stream.frameLengthLeft -= piece.count
        if !stream.isDropping {
            let number = UInt32(stream.number)
            if !Pattern.matches(piece, streamID: number, isOurs: false, position: stream.received) {
                violation("wrong bytes on \(stream.state.id) at \(stream.received)")
            }
            stream.received += piece.count
            receivedCounts[stream.number] = stream.received
        }
        if isEnd {
            if stream.frameLengthLeft != 0 { violation("a payload of the wrong length") }
            forgetIfOver(stream)
        }
    }

    private func settleBarriers() {
        for stream in inOrder() {
            guard let barrier = stream.barrier, session.isAnswered(barrier) else { continue }
            if fates[stream.number] == nil { fates[stream.number] = .takenBack }
            streams[stream.state.id] = nil
        }
    }

    /// No new streams; those that nobody has accepted are taken back.
    private func drain() {
        jobs.removeAll()
        for stream in inOrder() where !stream.state.isAcknowledged && stream.state.canSendReset {
            takeBack(stream)
        }
    }

    private func forgetIfOver(_ stream: Stream) {
        guard stream.state.isFinished, stream.barrier == nil, stream.frameLengthLeft == 0 else { return }
        let id = stream.state.id
        if fates[stream.number] == nil { fates[stream.number] = .complete }
        streams[id] = nil
        if !stream.state.isReset { session.noteReset(id) }
        if !stream.state.isAcknowledged, fates[stream.number] == .complete { violation("\(id) ended unacknowledged") }
    }

    private func inOrder() -> [Stream] {
        ordered.removeAll { streams[$0.state.id] !== $0 }
        return ordered
    }
}

// MARK: sending

extension Opener {
    /// Opens, sends, consumes, aborts at random; with `isHasty` it goes straight to the end of everything.
    func step(now: UInt64, isHasty: Bool) {
        guard breach == .none, !isDead else { return }
        switch session.nextLivenessStep(now: now) {
        case .nothing: break
        case .sendPing(let value): outbound += FrameHeader.ping(value).bytes
        case .dead: isDead = true
        }
        for _ in 0..<(isHasty ? 64 : 3) {
            guard let job = jobs.last, open(job, now: now, isHasty: isHasty) else { break }
            jobs.removeLast()
        }
        for stream in inOrder() where isHasty || generator.oneIn(3) {
            consume(stream, isHasty: isHasty)
            send(stream, now: now, isHasty: isHasty)
            end(stream, now: now, isHasty: isHasty)
            forgetIfOver(stream)
        }
    }

    private func open(_ job: Job, now: UInt64, isHasty: Bool) -> Bool {
        guard streams.count < maximum, findID() else { return false }
        if let ping = session.pingForIDs() { outbound += FrameHeader.ping(ping).bytes }
        var isProbe = false
        if !session.canOpenStream {
            guard session.mayProbe(now: now) else { return false }
            probes += 1
            isProbe = true
        }
        let id = session.openStream()
        if streams[id] != nil { violation("\(id) is in use") }
        if !isProbe, !isHasty, generator.oneIn(40) {
            session.withdrawn(id)
            return true
        }
        let stream = Stream(id: id, number: announced.count, job: job, now: now)
        announced.append(id)
        streams[id] = stream
        ordered.append(stream)
        if job.bytes == 0 || generator.oneIn(3) {
            outbound += FrameHeader.credit(id, 0, stream.state.flagsForNextFrame()).bytes
        } else {
            sendData(stream)
        }
        return true
    }

    /// Whether there is an id that no stream has.
    private func findID() -> Bool {
        guard session.hasGoneRound else { return true }
        for _ in 0...streams.count {
            if streams[session.nextStreamID] == nil { return true }
            session.passOverStreamID()
            passedOver += 1
        }
        return false
    }

    private func sendData(_ stream: Stream) {
        let maximum = UInt32(stream.job.bytes - stream.sent)
        let count = stream.state.sendFrame(maximum: maximum, payloadLimit: UInt32(generator.number(1...65_536)))
        guard count > 0 else { return }
        let id = stream.state.id
        outbound += FrameHeader.data(id, count, stream.state.flagsForNextFrame()).bytes
        let number = UInt32(stream.number)
        Pattern.append(Int(count), streamID: number, isOurs: true, position: stream.sent, to: &outbound)
        stream.sent += Int(count)
    }

    private func send(_ stream: Stream, now: UInt64, isHasty: Bool) {
        guard !stream.state.isReset, !stream.state.finSent else { return }
        if stream.sent < stream.job.bytes { sendData(stream) }
        guard stream.sent == stream.job.bytes else { return }
        guard isHasty || now >= stream.openedAt + stream.job.lives else { return }
        let allSentAt = stream.allSentAt ?? now
        stream.allSentAt = allSentAt
        guard stream.state.isAcknowledged || now >= allSentAt + 1000, generator.oneIn(2) else { return }
        let flags = stream.state.flagsForNextFrame().union(.fin)
        stream.state.sendFin()
        outbound += FrameHeader.credit(stream.state.id, 0, flags).bytes
    }

    private func consume(_ stream: Stream, isHasty: Bool) {
        guard !stream.state.isReset, isHasty || !stream.job.isLazy else { return }
        let count = min(stream.received - stream.consumed, isHasty ? Int.max : generator.number(0...50_000))
        stream.consumed += count
        var credit = stream.state.consumed(UInt32(count), mayAnnounce: isHasty || !generator.oneIn(5))
        if generator.oneIn(50) {
            credit += stream.state.grow(by: UInt32(generator.number(0...100_000)))
        }
        guard credit > 0 else { return }
        outbound += FrameHeader.credit(stream.state.id, credit, stream.state.flagsForNextFrame()).bytes
    }

    private func end(_ stream: Stream, now: UInt64, isHasty: Bool) {
        guard stream.state.canSendReset else { return }
        let age = now - stream.openedAt
        if let patience = stream.job.patience, age >= patience, !stream.state.isAcknowledged, !stream.state.finSent {
            return takeBack(stream)
        }
        let isStuck = isHasty && stream.state.finReceived && stream.sent < stream.job.bytes
        if isStuck || stream.job.abortsAfter.map({ age >= $0 }) ?? false {
            abort(stream)
        }
    }

    private func abort(_ stream: Stream) {
        let id = stream.state.id
        stream.state.sendReset()
        if stream.state.isAcknowledged { session.noteReset(id) } else { session.aborted(id) }
        outbound += FrameHeader.reset(id).bytes
        fates[stream.number] = .aborted
        streams[id] = nil
        if current === stream { current = nil }
    }

    /// RST and a ping: if the answer comes before any other frame of the stream, nothing of it was delivered.
    private func takeBack(_ stream: Stream) {
        guard !stream.state.finSent else { return abort(stream) }
        stream.state.sendReset()
        session.aborted(stream.state.id)
        let value = session.barrierPing()
        stream.barrier = value
        outbound += FrameHeader.reset(stream.state.id).bytes + FrameHeader.ping(value).bytes
    }
}
