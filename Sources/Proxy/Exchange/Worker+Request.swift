import Exchanges
import HTTP1
import Memory
import Reactor
import Routing
import TLS
import Yamux

extension Worker {
    /// Bytes of a client that may begin a request, none of it kept so far. Returns how many were taken.
    @_noLocks
    mutating func beginRequest(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard mayBegin(connection) else { return 0 }
        switch unsafe scratch.requestHead.scan(bytes, limits: headLimits) {
        case .complete: return unsafe route(connection, bytes)
        case .refused:
            unsafe refuseHead(connection, beginning: bytes)
            return bytes.count
        case .incomplete:
            if !connections[connection].isMidHead { beginHead(connection) }
            return 0
        }
    }

    /// The head in `requestHead` cannot go on. What its method is may be known: replies to HEAD have no content.
    private mutating func refuseHead(_ connection: Int32, _ why: ListenerCounter) {
        exchanges[connection].state.method = scratch.requestHead.method
        refuse(connection, why)
    }

    /// A head that is none, or not allowed.
    private mutating func refuseHead(_ connection: Int32, beginning bytes: UnsafeRawBufferPointer) {
        // No method begins with the type of a handshake's record.
        let isHandshake = unsafe bytes.count > 0 && bytes[0] == 0x16
        refuseHead(connection, isHandshake ? .refusedHandshake : ListenerCounter(refusing: scratch.requestHead.refusal))
    }

    /// What is there of a head did not become one in time.
    @_noLocks
    mutating func refuseLateHead(_ connection: Int32) {
        let count = unsafe pool.copy(connections[connection].received, to: scratch.assembly)
        _ = unsafe scratch.requestHead.scan(scratch.assembly.first(count), limits: headLimits)
        refuseHead(connection, .refusedLateHead)
    }

    /// Requests of a pipeline begin one after the other, and not before the client takes its replies.
    private func mayBegin(_ connection: Int32) -> Bool {
        guard exchanges[connection].state.isUnanswered else { return false }
        let waiting = connections[connection].outgoing.count + connections[connection].pipedBytes
        return waiting <= DataPlaneLimits.outgoingBytesToBegin
    }

    private mutating func beginHead(_ connection: Int32) {
        connections[connection].isMidHead = true
        connections[connection].headEnd = HeadEndFinder()
        exchanges[connection].state.past.phaseSince = now
        exchanges[connection].measure.begin(now: nowMicroseconds)
        schedule(connection, at: now + limits.timeouts.head)
    }

    /// Looks for the end of a head in new bytes alone, so that a head that comes in many pieces is scanned once.
    @_noLocks
    mutating func noteHeadBytes(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        if unsafe connections[connection].headEnd.advance(bytes) >= 0 { connections[connection].isMidHead = false }
        if connections[connection].received.count > limits.headBytes { connections[connection].isMidHead = false }
    }

    /// A head that lies aside: puts it together and takes it from there. False: it must wait, or is not complete.
    @_noLocks
    mutating func feedHead(_ connection: Int32) -> Bool {
        // In the middle of a head nothing is done until its end has been seen.
        guard !connections[connection].isMidHead, mayBegin(connection) else { return false }
        let chain = connections[connection].received
        var bytes = unsafe pool.front(of: chain)
        if bytes.count < chain.count {
            let count = unsafe pool.copy(chain, to: scratch.assembly)
            unsafe bytes = scratch.assembly.first(count)
        }
        switch unsafe scratch.requestHead.scan(bytes, limits: headLimits) {
        case .complete:
            let used = unsafe route(connection, bytes)
            guard used > 0, !connections[connection].isClosing else { return false }
            dropReceived(connection, used)
            return true
        case .refused:
            unsafe refuseHead(connection, beginning: bytes)
            return false
        case .incomplete:
            beginHead(connection)
            unsafe noteHeadBytes(connection, bytes)
            return false
        }
    }

    /// A complete head, in `requestHead` and `bytes`: finds its route and a session, and passes it on. Returns the
    /// bytes taken: 0 when the request has to wait.
    private mutating func route(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        assert(!exchanges[connection].half.exists, "rule 29: a request is routed while nobody serves it")
        connections[connection].isMidHead = false
        guard let path = unsafe scratch.requestHead.routingPath(in: bytes, scratch: scratch.path) else {
            refuseHead(connection, .refusedPath)
            return bytes.count
        }
        if !exchanges[connection].countsAsWaiting { noteRequest(connection) }
        if scratch.requestHead.maxForwards == 0 { return unsafe answerAsLast(connection, bytes) }
        let host = scratch.requestHead.host
        let hostBytes = unsafe UnsafeRawBufferPointer(rebasing: bytes[host.lowerBound..<host.upperBound])
        let listener = isOrphan(connection) ? limits.listeners : Int(connections[connection].client.listener)
        let found = unsafe snapshot.httpRoute(listener: listener, host: hostBytes, path: path)
        guard found >= 0 else { return unsafe unrouted(connection, bytes) }
        noteRoute(connection, found, as: .request)
        if scratch.requestHead.hasLoopMarks, unsafe isLoop(bytes) {
            return unsafe answer(connection, .refusedLoop, bytes)
        }
        switch choose(connection, route: found) {
        case .local(let session): return unsafe start(connection, session, bytes)
        case .remote(let reactor):
            handOver(connection, to: reactor)
            return 0
        case .fullSession(let session):
            waitForSession(connection, session)
            return 0
        case .nobody:
            waitForRoute(connection, .known(snapshot.route(found).id))
            return 0
        }
    }

    /// The request has come back more often than anybody can want.
    @inline(never)
    private func isLoop(_ bytes: UnsafeRawBufferPointer) -> Bool {
        unsafe scratch.requestHead.passes(of: limits.loopMark, in: bytes) >= DataPlaneLimits.passes
    }

    /// Nobody has registered this host and path; shortly after the start somebody may still be on the way back.
    private mutating func unrouted(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if now < limits.graceEnd {
            waitForRoute(connection, .unknown)
            return 0
        }
        return unsafe answer(connection, .refusedUnrouted, bytes)
    }

    /// RFC 9110 §7.6.2: nobody behind us is to see it. An echo would tell what cookies say.
    @inline(never)
    private mutating func answerAsLast(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if case .options = scratch.requestHead.method { return unsafe answer(connection, .answeredOptions, bytes) }
        return unsafe answer(connection, .refusedTrace, bytes)
    }

    /// Answers a request by ourselves. The connection goes on if the request had no body, and was not for a tunnel.
    private mutating func answer(_ connection: Int32, _ why: ListenerCounter, _ bytes: UnsafeRawBufferPointer) -> Int {
        // A client of HTTP/1.0 would have to be told that it may.
        var mayGoOn =
            scratch.requestHead.keepAlive && scratch.requestHead.minorVersion > 0 && !scratch.requestHead.isUpgrade
            && !isDraining
        if case .connect = scratch.requestHead.method { mayGoOn = false }
        if case .none = scratch.requestHead.framing, mayGoOn {
            reply(connection, why, close: false)
            endPatience(connection)
            endKeeping(connection)
            exchanges[connection].state.beginNext()
            connections[connection].client.hasServed = true
            becomeIdle(connection)
            return scratch.requestHead.byteCount
        }
        refuse(connection, why)
        return bytes.count
    }

    /// What is remembered of the head for as long as the request lasts.
    private mutating func noteRequest(_ connection: Int32) {
        let isFirstLook = exchanges[connection].state.past.attempts.areNone && !hasWaited(connection)
        if isFirstLook, exchanges[connection].state.past.handOvers == 0 { books.bump(.requests) }
        exchanges[connection].measure.begin(now: nowMicroseconds)
        exchanges[connection].state.note(scratch.requestHead, isLast: isDraining, now: now)
    }

    /// Opens a stream and writes the head to it, with as much of the body as lies behind it in the same frame.
    private mutating func start(_ connection: Int32, _ session: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard meet(connection, session),
            unsafe pool.hasRoom(for: scratch.edited.count + DataPlaneLimits.frameBytes)
        else {
            abort(connection)
            refuse(connection, .refusedNoRoom)
            return bytes.count
        }
        beginService(connection, session)
        let headCount = unsafe writeHead(connection, bytes)
        let bodyStart = scratch.requestHead.byteCount
        let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[bodyStart...])
        connections[connection].isSettled = true
        connections[connection].client.hasServed = true
        exchanges[connection].state.start()
        // The head is never split by a window: a fresh stream has 256 KiB. One that is used again has what it has.
        let room = max(0, min(firstRoom(connection), DataPlaneLimits.frameBytes) - headCount)
        let bodyCount = unsafe takeBody(connection, rest, atMost: room)
        guard exchanges[connection].half.exists else { return bytes.count }
        let head = unsafe scratch.edited.first(headCount)
        unsafe offer(connection, head, UnsafeRawBufferPointer(rebasing: rest[..<bodyCount]))
        unsafe beginKeeping(connection, UnsafeRawBufferPointer(rebasing: bytes[..<(bodyStart + bodyCount)]))
        assert(bodyStart + bodyCount <= bytes.count, "no more is passed on than was said")
        return bodyStart + bodyCount
    }

    private mutating func writeHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if connections[connection].addressCount == 0 { noteAddress(connection) }
        let count = Int(connections[connection].addressCount)
        let isTrusted = connections[connection].isTrusted
        let isTLS = connections[connection].client.tls.exists
        let session = exchanges[connection].session
        let mark = sessions[session].options.marksLoops ? limits.loopMark : 0
        let forwarding = unsafe withUnsafeBytes(of: connections[connection].address) { text in
            let address = unsafe UnsafeRawBufferPointer(rebasing: text[..<count])
            return unsafe Forwarding(address: address, isTLS: isTLS, isTrusted: isTrusted, loopMark: mark)
        }
        guard !scratch.requestHead.lacksHost else { return unsafe writeHeadWithHost(connection, bytes, forwarding) }
        return unsafe scratch.requestHead.writeEdited(from: bytes, forwarding: forwarding, to: scratch.edited)
    }

    /// A request of HTTP/1.0 need not say for which host it is; in HTTP/1.1 it is for the address that it came to.
    @inline(never)
    private mutating func writeHeadWithHost(
        _ connection: Int32, _ bytes: UnsafeRawBufferPointer, _ forwarding: borrowing Forwarding
    ) -> Int {
        var addresses = InlineArray<36, UInt8>(repeating: 0)
        var span = addresses.mutableSpan
        let fd = connections[connection].client.fd
        let family = unsafe span.withUnsafeMutableBufferPointer { unsafe Sockets.addresses(fd, to: $0.baseAddress!) }
        // The path that was routed by is not needed any more.
        let count = unsafe AddressText.writeHost(ofOwn: addresses, family: family, to: scratch.path)
        let host = unsafe scratch.path.first(count)
        return unsafe scratch.requestHead.writeEdited(
            from: bytes, forwarding: forwarding, host: host, to: scratch.edited)
    }

    /// The client's address as text, and whether what it says of others is believed.
    private mutating func noteAddress(_ connection: Int32) {
        assert(connections[connection].addressCount == 0, "an address is looked up once")
        var bytes = InlineArray<16, UInt8>(repeating: 0)
        var span = bytes.mutableSpan
        let fd = connections[connection].client.fd
        let family = unsafe span.withUnsafeMutableBufferPointer { unsafe Sockets.peerAddress(fd, to: $0.baseAddress!) }
        connections[connection].addressCount = UInt8(
            truncatingIfNeeded: AddressText.write(bytes, family: family, to: &connections[connection].address))
        guard trusted.count > 0 else { return }
        let words = AddressText.words(bytes)
        for place in 0..<trusted.count where trusted[place].contains(high: words.high, low: words.low) {
            connections[connection].isTrusted = true
        }
    }
}
