import TestSupport
import Yamux

/// A model of a service on hashicorp/yamux, made from what that library does and not from the code under test: frames
/// are parsed here anew. It notes every breach of the rules that it sees.
final class GoService {
    enum State { case synReceived, established, localClose, remoteClose, closed, reset }

    /// What the program on top does with a stream that it has accepted.
    struct Handler {
        var reads: Bool
        var bytesToWrite: Int
        var echoes: Bool
        /// Closes without waiting for the end of what it reads.
        var closesEarly: Bool
    }

    final class Stream {
        let id: UInt32
        /// How many streams came before it: ids come again.
        let number: Int
        var state = State.synReceived
        var receiveWindow = GoService.window
        var sendWindow = GoService.window
        var buffered = 0
        /// Bytes received, read by the program and written by it.
        var received = 0
        var delivered = 0
        var written = 0
        var isAccepted = false
        var handler = Handler(reads: true, bytesToWrite: 0, echoes: false, closesEarly: false)
        var closedAt: UInt64 = 0

        init(id: UInt32, number: Int) {
            self.id = id
            self.number = number
        }
    }

    static let window = 256 * 1024

    private(set) var violations: [String] = []
    private(set) var streams: [UInt32: Stream] = [:]
    /// Every stream that ever was, in the order of their SYNs, for the questions of the tests.
    private(set) var everyStream: [Stream] = []
    private var acceptQueue: [Stream] = []
    private var acceptHead = 0
    private var running: [Stream] = []
    private var closing: [Stream] = []
    private var inbound: [UInt8] = []
    private var inboundHead = 0
    private var openFrame: (stream: Stream?, id: UInt32, position: Int, remaining: Int)?
    private var outbound: [UInt8] = []
    private var pongs: [(due: UInt64, value: UInt32, number: Int)] = []
    private var pingsReceived = 0
    /// The last ping in the order of their arrival that has been answered.
    private var answeredPing = 0
    /// Streams that the opener has reset, and how many pings had come by then.
    private var resetByOpener: [UInt32: Int] = [:]
    private var finByOpener: Set<UInt32> = []
    private(set) var isGoingAway = false
    private(set) var overflows = 0
    private(set) var pongsReceived = 0
    private var pingsSent: UInt32 = 0
    private var generator: SeededGenerator
    var closeTimeout: UInt64?
    var backlog = 256
    /// The bits of the opener's ids.
    var idMask = UInt32.max
    var acceptOneIn: UInt64 = 2
    /// Accepts nothing before this time.
    var acceptsFrom: UInt64 = 0
    var maximumBytesToWrite = 2000

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    var waiting: Int { acceptQueue.count - acceptHead }
    var pingsUnanswered: Int { Int(pingsSent) - pongsReceived }
    var isQuiet: Bool { running.isEmpty && waiting == 0 && pongs.isEmpty }

    func takeOutbound() -> [UInt8] {
        defer { outbound.removeAll(keepingCapacity: true) }
        return outbound
    }

    private func violation(_ text: String) {
        violations.append(text)
    }
}

// MARK: the session's reader

extension GoService {
    func receive(_ bytes: [UInt8], now: UInt64) {
        inbound += bytes
        while true {
            if openFrame != nil {
                guard readPayload() else { break }
                continue
            }
            guard inbound.count - inboundHead >= 12 else { break }
            let header = inbound[inboundHead..<inboundHead + 12]
            inboundHead += 12
            handle(Array(header), now: now)
        }
        inbound.removeFirst(inboundHead)
        inboundHead = 0
    }

    private func handle(_ header: [UInt8], now: UInt64) {
        func word(_ at: Int) -> UInt32 { header[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        let flags = UInt16(header[2]) << 8 | UInt16(header[3])
        if header[0] != 0 { violation("version \(header[0])") }
        switch header[1] {
        case 0, 1: handleStream(isData: header[1] == 0, flags: flags, id: word(4), length: Int(word(8)))
        case 2 where flags & 1 != 0:
            pingsReceived += 1
            pongs.append((now + UInt64(generator.number(0...20)), word(8), pingsReceived))
        case 2: pongsReceived += 1
        case 3: break
        default: violation("type \(header[1])")
        }
    }

    private func handleStream(isData: Bool, flags: UInt16, id: UInt32, length: Int) {
        if flags & 1 != 0 { open(id) }
        checkEnds(isData: isData, flags: flags, id: id, length: length)
        let stream = streams[id]
        if isData, length > 0 {
            openFrame = (stream, id, stream?.received ?? -1, length)
        }
        guard let stream else { return }
        handleFlags(flags, of: stream)
        if !isData {
            stream.sendWindow += length
            if stream.sendWindow > UInt32.max { violation("credit overflow on \(id)") }
        } else if length > stream.receiveWindow {
            violation("window of \(id) exceeded by \(length - stream.receiveWindow)")
        } else {
            stream.receiveWindow -= length
        }
    }

    private func handleFlags(_ flags: UInt16, of stream: Stream) {
        if flags & 4 != 0 {
            switch stream.state {
            case .synReceived, .established: stream.state = .remoteClose
            case .localClose: close(stream)
            case .remoteClose, .closed, .reset: violation("unexpected FIN on \(stream.id)")
            }
        }
        if flags & 8 != 0 {
            stream.state = .reset
            streams[stream.id] = nil
        }
    }

    /// What we promise beyond what the library checks.
    private func checkEnds(isData: Bool, flags: UInt16, id: UInt32, length: Int) {
        if id & 1 == 0 { violation("id \(id) is not an opener's") }
        if flags & 2 != 0 { violation("ACK on \(id)") }
        if flags & 4 != 0 {
            if isData, length > 0 { violation("FIN beside data on \(id): the library reports it before the data") }
            if !finByOpener.insert(id).inserted { violation("second FIN on \(id)") }
        } else if finByOpener.contains(id), isData {
            violation("data after FIN on \(id)")
        }
        if resetByOpener[id] != nil { violation("a frame after RST on \(id)") }
        if flags & 8 != 0 { resetByOpener[id] = pingsReceived }
    }

    /// A SYN must be of the next id that is free, or of one a little behind it, and no frame of an earlier stream with
    /// that id may still be on its way from here.
    private func checkOpening(_ id: UInt32) {
        if id & ~idMask != 0 || id == 0 { violation("no id: \(id)") }
        let last = everyStream.last?.id ?? (id &- 2) & idMask
        // With few ids all others may be in use.
        let isFarOff = (id &- last &- 1) & idMask > 1_000
        if isFarOff { violation("SYN of \(id) after that of \(last)") }
        if streams[id] != nil { violation("duplicate stream \(id)") }
        if let pings = resetByOpener.removeValue(forKey: id), pings >= answeredPing {
            violation("\(id) again, and no ping has been answered since its RST")
        }
        finByOpener.remove(id)
    }

    private func open(_ id: UInt32) {
        checkOpening(id)
        let stream = Stream(id: id, number: everyStream.count)
        everyStream.append(stream)
        guard !isGoingAway else { return send(1, 8, id, 0) }
        guard waiting < backlog else {
            overflows += 1
            return send(1, 8, id, 0)
        }
        streams[id] = stream
        acceptQueue.append(stream)
    }

    /// The rest of a data frame, as far as it is there; the bytes count when the frame is complete.
    private func readPayload() -> Bool {
        guard var frame = openFrame else { return true }
        let count = min(frame.remaining, inbound.count - inboundHead)
        guard count > 0 else { return false }
        if let stream = frame.stream {
            let piece = inbound[inboundHead..<inboundHead + count]
            if !Pattern.matches(piece, streamID: UInt32(stream.number), isOurs: true, position: frame.position) {
                violation("wrong bytes on \(stream.id) at \(frame.position)")
            }
            frame.position += count
        }
        inboundHead += count
        frame.remaining -= count
        if frame.remaining == 0, let stream = frame.stream {
            stream.buffered += frame.position - stream.received
            stream.received = frame.position
        }
        openFrame = frame.remaining > 0 ? frame : nil
        return true
    }
}

// MARK: what the library's methods do

extension GoService {
    private func send(_ type: UInt8, _ flags: UInt16, _ id: UInt32, _ length: Int) {
        outbound += [0, type, UInt8(flags >> 8), UInt8(flags & 255)]
        for word in [id, UInt32(length)] {
            outbound += [UInt8(word >> 24), UInt8(word >> 16 & 255), UInt8(word >> 8 & 255), UInt8(word & 255)]
        }
    }

    private func flagsToSend(_ stream: Stream) -> UInt16 {
        guard stream.state == .synReceived else { return 0 }
        stream.state = .established
        return 2
    }

    private func sendWindowUpdate(_ stream: Stream) {
        let delta = GoService.window - stream.buffered - stream.receiveWindow
        let flags = flagsToSend(stream)
        guard delta >= GoService.window / 2 || flags != 0 else { return }
        stream.receiveWindow += delta
        send(1, flags, stream.id, delta)
    }

    private func accept() {
        let stream = acceptQueue[acceptHead]
        acceptHead += 1
        stream.isAccepted = true
        sendWindowUpdate(stream)
        let bytes = generator.oneIn(3) ? 0 : generator.number(0...maximumBytesToWrite)
        stream.handler = Handler(
            reads: !generator.oneIn(10), bytesToWrite: bytes, echoes: generator.oneIn(3),
            closesEarly: generator.oneIn(8)
        )
        running.append(stream)
    }

    /// The number of bytes read, 0 if there are none yet, nil at the end or after a reset.
    private func read(_ stream: Stream, _ maximum: Int) -> Int? {
        if stream.state == .reset { return nil }
        guard stream.buffered > 0 else {
            return stream.state == .established || stream.state == .synReceived ? 0 : nil
        }
        let count = min(stream.buffered, maximum)
        stream.buffered -= count
        stream.delivered += count
        sendWindowUpdate(stream)
        return count
    }

    private func write(_ stream: Stream, _ maximum: Int) {
        guard stream.state != .localClose, stream.state != .closed, stream.state != .reset else { return }
        let count = min(maximum, stream.sendWindow)
        guard count > 0 else { return }
        send(0, flagsToSend(stream), stream.id, count)
        Pattern.append(
            count, streamID: UInt32(stream.number), isOurs: false, position: stream.written, to: &outbound)
        stream.sendWindow -= count
        stream.written += count
    }

    private func closeLocally(_ stream: Stream, now: UInt64) {
        switch stream.state {
        case .synReceived, .established:
            stream.state = .localClose
            stream.closedAt = now
            closing.append(stream)
        case .remoteClose: close(stream)
        case .localClose, .closed, .reset: return
        }
        send(1, 4, stream.id, 0)
    }

    private func close(_ stream: Stream) {
        stream.state = .closed
        streams[stream.id] = nil
    }
}

// MARK: the program

extension GoService {
    func goAway() {
        isGoingAway = true
        send(3, 0, 0, 0)
    }

    func ping() {
        pingsSent += 1
        send(2, 1, 0, Int(pingsSent))
    }

    /// Lets some of the goroutines run. With `isHasty` nobody dawdles, so that everything comes to an end.
    func step(now: UInt64, isHasty: Bool) {
        for _ in 0..<(isHasty ? 64 : 4) where waiting > 0 && (isHasty || now >= acceptsFrom) {
            if isHasty || generator.oneIn(acceptOneIn) { accept() }
        }
        for pong in pongs where pong.due <= now {
            send(2, 2, 0, Int(pong.value))
            answeredPing = max(answeredPing, pong.number)
        }
        pongs.removeAll { $0.due <= now }
        running.removeAll { stream in
            (isHasty || generator.oneIn(3)) && runHandler(of: stream, now: now, isHasty: isHasty)
        }
        closing.removeAll { stream in
            guard stream.state == .localClose else { return true }
            guard let closeTimeout, now >= stream.closedAt + closeTimeout else { return false }
            close(stream)
            send(1, 8, stream.id, 0)
            return true
        }
    }

    /// Whether the handler has returned.
    private func runHandler(of stream: Stream, now: UInt64, isHasty: Bool) -> Bool {
        var isAtEnd = false
        if stream.handler.reads || isHasty {
            let count = read(stream, generator.number(1...70_000))
            isAtEnd = count == nil
            if stream.handler.echoes {
                stream.handler.bytesToWrite += count ?? 0
            }
        }
        let step = min(stream.handler.bytesToWrite, generator.number(1...40_000))
        if step > 0 {
            let before = stream.written
            write(stream, step)
            stream.handler.bytesToWrite -= stream.written - before
        }
        let isOver = stream.state == .reset || stream.state == .closed
        let isDone = stream.handler.closesEarly || (isAtEnd && stream.handler.bytesToWrite == 0)
        guard isOver || isDone else { return false }
        closeLocally(stream, now: now)
        return true
    }
}
