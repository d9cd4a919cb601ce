import Yamux

/// Reads its input as a list of operations on one session: what its owner does, and what a peer of any intent sends.
/// Beside the structs under test it keeps books of its own in wide integers and traps when the two disagree.
///
/// Every input is valid: what an operation may not do in the present state it leaves out, as the data plane would.
struct YamuxOperations {
    private struct Book {
        var state: StreamState
        /// What we have sent and been allowed to send, and the same for the peer.
        var sent: UInt64 = 0
        var sendable = UInt64(StreamState.initialWindow)
        var received: UInt64 = 0
        var receivable = UInt64(StreamState.initialWindow)
        var consumed: UInt64 = 0
        var isOurs = true
        var holdsPlace = true
        var frames = 0
        var barrier: UInt32?
    }

    private var input: ArraySlice<UInt8>
    private let role: Role
    private var session: SessionState
    private var reader = FrameReader()
    private var books: [UInt32: Book] = [:]
    private var order: [UInt32] = []
    private var current: UInt32?
    private var now: UInt64 = 1
    private var isOver = false
    private var answers = 0
    private var refusals = 0
    private var lastPing: UInt32 = 0
    private var pingsSent = 0
    /// The last ping that was answered; their values count up from 1.
    private var lastAnswered: UInt32 = 0
    /// Ids that were reset, and the pings sent by then.
    private var resting: [UInt32: UInt32] = [:]

    init(_ input: ArraySlice<UInt8>) {
        self.input = input
        let first = self.input.popFirst() ?? 0
        role = first & 1 == 0 ? .opener : .acceptor
        var limits = SessionLimits()
        limits.unacknowledgedMaximum = 1 + UInt32(self.input.popFirst() ?? 255)
        // In half of the runs the ids go round soon, and they begin anywhere.
        limits.streamIDBits = first & 2 == 0 ? 32 : 6
        let firstID = first & 2 == 0 ? nil : max(2, UInt32(first >> 2) & ~1) - (role == .opener ? 1 : 0)
        session = SessionState(role: role, limits: limits, firstStreamID: firstID, now: now)
    }

    var haveIDsGoneRound: Bool { session.hasGoneRound }

    /// Does what the input says, until its end or that of the session.
    mutating func run() {
        while !isOver, let code = input.popFirst() {
            perform(code)
            check()
        }
    }

    private mutating func byte() -> UInt8 {
        input.popFirst() ?? 0
    }

    /// A count that is small, near an edge or anything, as one byte of the input decides.
    private mutating func amount() -> UInt32 {
        let code = byte()
        let edges: [UInt32] = [0, 1, 131_071, 131_072, 262_143, 262_144, 262_145, 16_777_216, .max - 262_144, .max]
        if code < 10 { return edges[Int(code)] }
        return code < 128 ? UInt32(code) : UInt32(code & 0x7f) << 8 | UInt32(byte()) << 3
    }

    private mutating func someStream() -> UInt32? {
        order.isEmpty ? nil : order[Int(byte()) % order.count]
    }
}

// MARK: the owner

extension YamuxOperations {
    private mutating func perform(_ code: UInt8) {
        switch code % 16 {
        case 0: open()
        case 1: send()
        case 2: finish()
        case 3: reset(takesBack: false)
        case 4: reset(takesBack: true)
        case 5: consume(mayAnnounce: true)
        case 6: consume(mayAnnounce: false)
        case 7: grow()
        case 8: now += UInt64(byte()) * 16
        case 9: live()
        case 10: if code & 0x80 != 0, !session.goAwaySent { session.sendGoAway() }
        case 11: receiveRaw()
        default: receiveFrame()
        }
    }

    private mutating func open() {
        guard order.count < 64, findID() else { return }
        if let ping = session.pingForIDs() {
            lastPing = ping
            pingsSent += 1
        }
        guard session.canOpenStream || session.mayProbe(now: now) else { return }
        let id = session.openStream()
        require(books[id] == nil, "no id is opened that is in use")
        require(resting[id].map { $0 < lastAnswered } ?? true, "ids that were reset come again after a later pong")
        guard byte() & 7 != 0 else { return session.withdrawn(id) }
        var book = Book(state: StreamState(id: id))
        require(book.state.flagsForNextFrame() == .syn, "SYN is first")
        insert(book, id)
    }

    /// Whether there is an id that is not in use.
    private mutating func findID() -> Bool {
        guard session.hasGoneRound else {
            require(books[session.nextStreamID] == nil, "ids are new until they have gone round")
            return true
        }
        for _ in 0...order.count {
            if books[session.nextStreamID] == nil { return true }
            session.passOverStreamID()
        }
        return false
    }

    private mutating func insert(_ book: Book, _ id: UInt32) {
        if books.updateValue(book, forKey: id) == nil { order.append(id) }
    }

    private mutating func forget(_ id: UInt32) {
        books[id] = nil
        order.removeAll { $0 == id }
        if current == id { current = nil }
    }

    private mutating func send() {
        guard let id = someStream(), var book = books[id], !book.state.finSent else { return }
        let window = book.state.sendWindow
        let count = book.state.sendFrame(maximum: amount(), payloadLimit: 65_536)
        require(count <= window && (!book.state.isReset || count == 0), "within the window")
        book.sent += UInt64(count)
        if count > 0 {
            let isFirst = !book.state.isAnnounced
            let flags = book.state.flagsForNextFrame()
            require(flags == (isFirst ? .ack : []), "opened streams have been announced already")
        }
        books[id] = book
    }

    private mutating func finish() {
        guard let id = someStream(), var book = books[id], book.state.canSendFin else { return }
        _ = book.state.flagsForNextFrame()
        book.state.sendFin()
        books[id] = book
        settle(id)
    }

    private mutating func reset(takesBack: Bool) {
        guard let id = someStream(), var book = books[id], book.state.canSendReset else { return }
        let mayComeBack = takesBack && !book.state.isAcknowledged && !book.state.finSent
        book.state.sendReset()
        if book.holdsPlace {
            session.aborted(id)
        } else if book.isOurs {
            session.noteReset(id)
        }
        if book.isOurs { resting[id] = UInt32(pingsSent) }
        book.holdsPlace = false
        if mayComeBack {
            lastPing = session.barrierPing()
            pingsSent += 1
            book.barrier = lastPing
        }
        books[id] = book
        if !mayComeBack { forget(id) }
    }

    private mutating func consume(mayAnnounce: Bool) {
        guard let id = someStream(), var book = books[id] else { return }
        let count = min(amount(), book.state.bytesBuffered)
        let credit = book.state.consumed(count, mayAnnounce: mayAnnounce)
        book.consumed += UInt64(count)
        book.receivable += UInt64(credit)
        require(credit == 0 || (mayAnnounce && !book.state.finReceived && !book.state.isReset), "no useless credit")
        books[id] = book
    }

    private mutating func grow() {
        guard let id = someStream(), var book = books[id] else { return }
        book.receivable += UInt64(book.state.grow(by: amount()))
        books[id] = book
    }

    private mutating func live() {
        if byte() & 3 == 0 {
            lastPing = session.probe(now: now, within: 2000)
            pingsSent += 1
            return
        }
        switch session.nextLivenessStep(now: now) {
        case .nothing: require(session.livenessDueAt > now, "it says when it has something to say")
        case .sendPing(let value):
            lastPing = value
            pingsSent += 1
        case .dead: isOver = true
        }
    }
}

// MARK: the peer

extension YamuxOperations {
    private mutating func receiveRaw() {
        let count = min(Int(byte()), input.count)
        let bytes = Array(input.prefix(count))
        input = input.dropFirst(count)
        receive(bytes)
    }

    /// A frame whose fields make sense more often than chance would have it, and its payload.
    private mutating func receiveFrame() {
        let kind = byte()
        let id = kind & 16 != 0 ? UInt32(byte()) : someStream() ?? 1
        let type = FrameType(rawValue: kind & 3) ?? .data
        var length = type == .data && kind & 64 == 0 ? UInt32(byte()) : amount()
        if type == .ping, kind & 4 != 0 { length = lastPing &- UInt32(byte() & 3) }
        let usual = type == .ping ? 1 + UInt16(kind >> 6) : 0
        let flags = FrameFlags(rawValue: kind & 8 != 0 ? UInt16(byte() & 15) : usual)
        let header = FrameHeader(type: type, flags: flags, streamID: id, length: length)
        receive(bytes(of: header))
        if type == .data, !isOver {
            // Long payloads are the reader's affair, which does not look into them: their first bytes are enough.
            receive([UInt8](repeating: 0, count: Int(min(length, 200_000))))
        }
    }

    private func bytes(of header: FrameHeader) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: FrameHeader.byteCount) { buffer, count in
            unsafe header.write(to: UnsafeMutableRawPointer(buffer.baseAddress!))
            count = FrameHeader.byteCount
        }
    }

    private mutating func receive(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        session.noteReceived(now: now)
        let split = Int(byte()) % (bytes.count + 1)
        read(Array(bytes[..<split]))
        read(Array(bytes[split...]))
    }

    private mutating func read(_ bytes: [UInt8]) {
        var offset = 0
        while !isOver {
            let before = offset
            let event = unsafe bytes.withUnsafeBytes { unsafe reader.next(in: $0, offset: &offset) }
            switch event.kind {
            case .needsBytes:
                require(offset == bytes.count, "all is consumed")
                return
            case .breach: isOver = true
            case .header: take(event.header)
            case .payload:
                require(event.payloadOffset == before && event.payloadCount == offset - before, "pieces are in order")
                require(event.payloadCount > 0, "no empty pieces")
                if event.isPayloadEnd, let id = current { settle(id) }
            }
        }
    }

    private mutating func take(_ header: FrameHeader) {
        switch header.type {
        case .ping, .goAway: act(session.receiveSessionFrame(header, now: now), header)
        case .data, .windowUpdate:
            current = header.streamID
            guard books[header.streamID] != nil else {
                return act(session.receiveUnknownStream(header, now: now), header)
            }
            takeKnown(header)
        }
    }

    private mutating func act(_ action: SessionAction, _ header: FrameHeader) {
        switch action {
        case .nothing, .drain: break
        case .answerPing(let value):
            require(value == header.length, "a pong repeats the ping")
            answers += 1
        case .pong(let value):
            require(session.isAnswered(value) && value <= UInt32(pingsSent), "only our pings are answered")
            lastAnswered = value
            for id in order where books[id]?.barrier.map({ session.isAnswered($0) }) ?? false { forget(id) }
        case .refuseStream: refusals += 1
        case .acceptStream(let id): accept(id, header)
        case .breach: isOver = true
        }
    }

    private mutating func accept(_ id: UInt32, _ header: FrameHeader) {
        require(role == .acceptor && id == header.streamID, "only acceptors accept")
        guard order.count < 64 else {
            return act(session.refuseStream(id, now: now), header)
        }
        var book = Book(state: StreamState(acceptedID: id))
        book.holdsPlace = false
        book.isOurs = false
        insert(book, id)
        takeKnown(header)
    }

    private mutating func takeKnown(_ header: FrameHeader) {
        guard var book = books[header.streamID] else { return }
        let event = book.state.receive(header)
        let isReset = header.flags.contains(.reset)
        if header.type == .data { book.received += UInt64(header.length) }
        if header.type == .windowUpdate, !isReset { book.sendable += UInt64(header.length) }
        guard event.breach == .none else {
            let isExceeded = book.received > book.receivable || book.sendable - book.sent > UInt64(UInt32.max)
            require(isExceeded || event.breach == .unexpectedFlags, "breaches have a reason")
            isOver = true
            return
        }
        require(book.received <= book.receivable, "no window is exceeded unseen")
        if event.contains(.acknowledged) {
            require(book.holdsPlace && book.frames == 0 && !isReset, "the first frame without RST")
            session.acknowledged(header.streamID)
            book.holdsPlace = false
        }
        if event.contains(.refused) {
            require(book.holdsPlace && book.frames == 0 && isReset, "RST before any other frame")
            book.holdsPlace = false
            if session.refused(header.streamID) != .none { isOver = true }
        }
        if event.contains(.acknowledgedLate) { session.acknowledgedLate(header.streamID) }
        book.frames += 1
        books[header.streamID] = book
        if header.type == .windowUpdate || header.length == 0 { settle(header.streamID) }
    }

    /// Forgets a stream that is over, except one that waits for its barrier.
    private mutating func settle(_ id: UInt32) {
        guard let book = books[id], book.state.isFinished, book.barrier == nil else { return }
        require(!book.holdsPlace, "a stream that has ended holds no place")
        forget(id)
    }
}

// MARK: the books

extension YamuxOperations {
    private func require(_ condition: Bool, _ rule: StaticString) {
        precondition(condition, "broken: \(rule)")
    }

    private func check() {
        guard !isOver else { return }
        for (_, book) in books {
            let state = book.state
            require(UInt64(state.sendWindow) == book.sendable - book.sent, "the send window is what is left")
            require(UInt64(state.receiveWindow) == book.receivable - book.received, "and so is the receive window")
            require(UInt64(state.bytesBuffered) == book.received - book.consumed, "nothing is buffered twice")
            require(book.receivable - book.consumed <= UInt64(StreamState.maximumWindow), "memory is bounded")
        }
        let holding = books.values.filter(\.holdsPlace).count
        require(session.unacknowledged >= UInt32(holding), "who waits is counted")
        require(!session.canOpenStream || holding < Int(session.limits.unacknowledgedMaximum), "no more than the queue")
        require(answers <= 1_000 + Int(now / 10) && refusals <= 1_000 + Int(now / 10), "answers are bounded")
    }
}
