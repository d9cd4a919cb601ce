import Testing
import Yamux

/// The proxy's side of a session, as strict as the strictest: a frame that breaks a rule fails the test.
struct TestProxy {
    struct Stream {
        var state: StreamState
        var received: [UInt8] = []
        var isFinished = false
        var isReset = false
        /// The bytes that still have to come of a data frame.
        var frames = 0
    }

    private(set) var streams: [UInt32: Stream] = [:]
    /// Headers in the order of their arrival.
    var frames: [FrameHeader] = []
    private var answers: [UInt8] = []
    private var reader = FrameReader()
    /// Ids go round: behind the highest comes 1.
    var nextID: UInt32 = 1
    /// Whether credit is given back at once.
    var isGenerous = true
    var answersPings = true
    var largestFrame: UInt32 = 0
    private(set) var goAway: UInt32?

    // What the proxy says.

    mutating func open(_ bytes: [UInt8] = [], finish: Bool = false) -> [UInt8] {
        let id = nextID
        nextID &+= 2
        streams[id] = Stream(state: StreamState(id: id))
        guard bytes.isEmpty else { return data(id, bytes) }
        let flags = streams[id]!.state.flagsForNextFrame()
        return FrameHeader.windowUpdate(id, 0, flags: flags).bytes
    }

    mutating func data(_ id: UInt32, _ bytes: [UInt8]) -> [UInt8] {
        let count = streams[id]!.state.sendFrame(maximum: UInt32(bytes.count), payloadLimit: .max)
        precondition(count == bytes.count, "the test sends more than the window of \(id) allows")
        let flags = streams[id]!.state.flagsForNextFrame()
        return FrameHeader(type: .data, flags: flags, streamID: id, length: count).bytes + bytes
    }

    mutating func finish(_ id: UInt32) -> [UInt8] {
        let flags = streams[id]!.state.flagsForNextFrame().union(.fin)
        streams[id]!.state.sendFin()
        return FrameHeader.windowUpdate(id, 0, flags: flags).bytes
    }

    mutating func reset(_ id: UInt32) -> [UInt8] {
        streams[id]!.state.sendReset()
        return FrameHeader.reset(id).bytes
    }

    mutating func credit(_ id: UInt32, _ count: UInt32) -> [UInt8] {
        let credit = streams[id]!.state.consumed(count)
        guard credit > 0 else { return [] }
        return FrameHeader.windowUpdate(id, credit, flags: []).bytes
    }

    func window(_ id: UInt32) -> Int { Int(streams[id]!.state.sendWindow) }

    mutating func takeAnswers() -> [UInt8] {
        defer { answers = [] }
        return answers
    }

    // What it hears.

    mutating func receive(_ bytes: [UInt8]) {
        var offset = 0
        while true {
            let event = unsafe bytes.withUnsafeBytes { unsafe reader.next(in: $0, offset: &offset) }
            switch event.kind {
            case .needsBytes: return
            case .breach: return #expect(Bool(false), "\(event.breach)")
            case .header: receive(event.header)
            case .payload:
                let piece = bytes[event.payloadOffset..<event.payloadOffset + event.payloadCount]
                receive(piece, event.header.streamID)
            }
        }
    }

    private mutating func receive(_ header: FrameHeader) {
        frames.append(header)
        switch header.type {
        case .ping:
            if header.flags.contains(.syn), answersPings { answers += FrameHeader.pong(header.length).bytes }
        case .goAway: goAway = header.length
        case .data, .windowUpdate: receiveOfStream(header)
        }
    }

    private mutating func receiveOfStream(_ header: FrameHeader) {
        let id = header.streamID
        guard streams[id] != nil else {
            Issue.record("a frame for stream \(id), which is unknown: \(header)")
            return
        }
        #expect(!(header.type == .data && header.flags.contains(.fin)), "FIN beside data")
        #expect(!header.flags.contains(.syn))
        let wasAcknowledged = streams[id]!.state.isAcknowledged
        let event = streams[id]!.state.receive(header)
        #expect(event.breach == .none, "stream \(id): \(event.breach)")
        #expect(!event.contains(.late) || streams[id]!.state.resetSent, "stream \(id): \(header) is late")
        if !wasAcknowledged, !header.flags.contains(.reset) {
            #expect(header.flags.contains(.ack), "the first frame acknowledges")
        } else {
            #expect(!header.flags.contains(.ack), "acknowledged twice")
        }
        if header.type == .data { largestFrame = max(largestFrame, header.length) }
        if event.contains(.finished) { streams[id]!.isFinished = true }
        if event.contains(.reset) { streams[id]!.isReset = true }
    }

    private mutating func receive(_ piece: ArraySlice<UInt8>, _ id: UInt32) {
        streams[id]!.received += piece
        if isGenerous { answers += credit(id, UInt32(piece.count)) }
    }
}

extension FrameHeader {
    /// As it travels.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for word in [UInt32(type.rawValue) << 16 | UInt32(flags.rawValue), streamID, length] {
            for shift in stride(from: 24, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        return bytes
    }
}
