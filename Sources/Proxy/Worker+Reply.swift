import HTTP1
import Memory
import Reactor
import Yamux

extension Worker {
    /// Bytes of a service for the connection that the stream serves. True: some were left, behind the end of a reply.
    @_noLocks
    mutating func deliver(_ stream: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let connection = streams[stream].connection
        guard connection >= 0 else { return false }
        exchanges[connection].owedCredit += UInt32(truncatingIfNeeded: bytes.count)
        switch connections[connection].client.mode {
        case .relay:
            unsafe send(connection, bytes)
            return false
        case .http, .undecided: return unsafe deliverReply(connection, stream, bytes)
        }
    }

    private mutating func deliverReply(
        _ connection: Int32,
        _ stream: Int32,
        _ bytes: UnsafeRawBufferPointer
    ) -> Bool {
        var offset = 0
        while offset < bytes.count, !connections[connection].isClosing, exchanges[connection].stream == stream {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
            if case .relay = connections[connection].client.mode {
                unsafe send(connection, rest)
                return false
            }
            switch exchanges[connection].reply {
            case .none: return true
            case .head: offset += unsafe takeReplyHead(connection, stream, rest)
            case .body: offset += unsafe takeReplyBody(connection, rest)
            }
        }
        return offset < bytes.count
    }

    /// Takes bytes of a reply's head; usually all of it is there.
    private mutating func takeReplyHead(
        _ connection: Int32,
        _ stream: Int32,
        _ bytes: UnsafeRawBufferPointer
    ) -> Int {
        guard streams[stream].partial.isEmpty else { return unsafe continueReplyHead(connection, stream, bytes) }
        switch unsafe scratch.responseHead.scan(bytes, limits: headLimits, request: exchanges[connection].method) {
        case .complete:
            unsafe passReplyHead(connection, bytes)
            return scratch.responseHead.byteCount
        case .refused where !hasBareLineFeed:
            failRefused(connection)
            return bytes.count
        case .refused, .incomplete:
            streams[stream].headEnd = HeadEndFinder()
            return unsafe continueReplyHead(connection, stream, bytes)
        }
    }

    /// Lines that end with LF alone are mended, once the head is whole.
    private var hasBareLineFeed: Bool {
        @_noLocks get {
            if case .bareLineFeed = scratch.responseHead.refusal { return true }
            return false
        }
    }

    /// A head in pieces: only as much is taken as belongs to it, and it is scanned once it is whole.
    private mutating func continueReplyHead(
        _ connection: Int32,
        _ stream: Int32,
        _ bytes: UnsafeRawBufferPointer
    ) -> Int {
        let end = unsafe streams[stream].headEnd.advanceInReply(bytes)
        let count = end >= 0 ? end : bytes.count
        guard unsafe keepPart(UnsafeRawBufferPointer(rebasing: bytes[..<count]), of: stream) else {
            failExchange(connection, .failedNoMemory)
            return bytes.count
        }
        guard streams[stream].partial.count <= limits.headBytes else {
            failExchange(connection, .failedTooLarge)
            return bytes.count
        }
        guard end >= 0 else { return bytes.count }
        let size = unsafe pool.copy(streams[stream].partial, to: scratch.assembly)
        pool.clear(&streams[stream].partial)
        unsafe takeWholeHead(connection, scratch.assembly.first(size))
        return count
    }

    private mutating func takeWholeHead(_ connection: Int32, _ whole: UnsafeRawBufferPointer) {
        let method = exchanges[connection].method
        switch unsafe scratch.responseHead.scan(whole, limits: headLimits, request: method) {
        case .complete where scratch.responseHead.byteCount == whole.count:
            return unsafe passReplyHead(connection, whole)
        case .refused where hasBareLineFeed: break
        case .complete, .refused, .incomplete: return failRefused(connection)
        }
        // No request is being routed, so the space of paths is free.
        let count = unsafe ResponseHead.mendLineEnds(whole, to: scratch.path)
        guard count >= 0 else { return failExchange(connection, .failedTooLarge) }
        let mended = unsafe scratch.path.first(count)
        switch unsafe scratch.responseHead.scan(mended, limits: headLimits, request: method) {
        case .complete where scratch.responseHead.byteCount == count: unsafe passReplyHead(connection, mended)
        case .complete, .refused, .incomplete: failRefused(connection)
        }
    }

    private mutating func keepPart(_ bytes: UnsafeRawBufferPointer, of stream: Int32) -> Bool {
        unsafe pool.append(bytes, to: &streams[stream].partial, sparing: limits.sparedBlocks)
    }

    /// A complete head, in `responseHead` and `bytes`, goes to the client as it must look there.
    private mutating func passReplyHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        if scratch.responseHead.isInterim, !scratch.responseHead.isSwitching {
            // A client of HTTP/1.0 knows no interim replies.
            guard !exchanges[connection].isHTTP10 else { return skipInterim(connection) }
            dropKept(connection)
            exchanges[connection].hasHeardInterim = true
            if scratch.responseHead.status == 100 { exchanges[connection].expectsContinue = false }
            unsafe sendHead(connection, bytes, close: false)
            return
        }
        // From now on the client knows of the service's answer.
        dropKept(connection)
        let stream = exchanges[connection].stream
        noteAnswered(stream, streams[stream].session)
        if scratch.responseHead.isSwitching || isTunnel(connection) { return unsafe passSwitch(connection, bytes) }
        exchanges[connection].replyFraming = scratch.responseHead.framing
        exchanges[connection].replyLeft = scratch.responseHead.contentLength
        exchanges[connection].replyChunks = ChunkedReader()
        exchanges[connection].decodesChunks = false
        exchanges[connection].reply = .body
        exchanges[connection].serviceKeepsStream = scratch.responseHead.keepAlive
        decidePersistence(connection)
        let close = !exchanges[connection].keepsAlive
        unsafe sendHead(connection, bytes, close: close)
        switch scratch.responseHead.framing {
        case .none: finishReply(connection)
        case .counted, .chunked, .untilClose: break
        }
    }

    /// Nothing goes to the client, so nothing will be sent that gives the service its credit back.
    private mutating func skipInterim(_ connection: Int32) {
        guard !connections[connection].hasUnsent else { return }
        let owed = exchanges[connection].owedCredit
        exchanges[connection].owedCredit = 0
        giveCredit(exchanges[connection].stream, owed, isFlowing: true)
    }

    /// Whether the client's connection outlives this reply.
    private mutating func decidePersistence(_ connection: Int32) {
        switch scratch.responseHead.framing {
        case .untilClose: exchanges[connection].keepsAlive = false
        case .chunked where exchanges[connection].isHTTP10:
            exchanges[connection].decodesChunks = true
            exchanges[connection].keepsAlive = false
        case .none, .counted, .chunked: break
        }
        if case .body = exchanges[connection].request, !maySkipRest(connection) {
            exchanges[connection].keepsAlive = false
        }
        // RFC 9931 §6: what follows a CONNECT was meant for its tunnel, and is no request.
        if isConnect(connection) { exchanges[connection].keepsAlive = false }
        if isDraining { exchanges[connection].keepsAlive = false }
    }

    /// The reply comes before the end of the request. Whether what is left of the body is so little, and so certain to
    /// come, that the connection can go on behind it; who is told to go on must not be left.
    private func maySkipRest(_ connection: Int32) -> Bool {
        // Who was promised 100-continue and gets something else may send its body or not: nobody can tell.
        guard case .counted = exchanges[connection].requestFraming, !exchanges[connection].expectsContinue else {
            return false
        }
        return exchanges[connection].requestLeft <= DataPlaneLimits.skippedBytes
    }

    /// A successful reply to CONNECT: what follows is a relay.
    private func isTunnel(_ connection: Int32) -> Bool {
        isConnect(connection) && scratch.responseHead.status / 100 == 2
    }

    /// 101, which only an upgrade may get, or a 2xx to CONNECT: what follows is a relay. Within trailer fields there is
    /// no place where the other protocol could begin.
    private mutating func passSwitch(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        let isAsked = exchanges[connection].isUpgrade || !scratch.responseHead.isSwitching
        guard isAsked, !isInTrailers(connection) else { return failExchange(connection, .failedUnaskedSwitch) }
        unsafe sendHead(connection, bytes, close: false)
        becomeRelay(connection)
    }

    private mutating func becomeRelay(_ connection: Int32) {
        connections[connection].client.mode = .relay
        exchanges[connection].reply = .none
        timers.cancel(connection)
        feedReceived(connection)
    }

    private mutating func sendHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer, close: Bool) {
        let edit = ResponseEdit(
            close: close,
            clientMinorVersion: exchanges[connection].isHTTP10 ? 0 : 1
        )
        let count = unsafe scratch.responseHead.writeEdited(
            from: bytes, edit: edit, date: UnsafeRawBufferPointer(date.bytes), to: scratch.edited)
        unsafe send(connection, scratch.edited.first(count))
    }

    /// Passes on bytes of the reply's body, and sees its end. Returns how many were taken.
    private mutating func takeReplyBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        switch exchanges[connection].replyFraming {
        case .counted:
            let count = Int(min(UInt64(bytes.count), exchanges[connection].replyLeft))
            unsafe send(connection, UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            exchanges[connection].replyLeft -= UInt64(count)
            if exchanges[connection].replyLeft == 0 { finishReply(connection) }
            return count
        case .chunked: return unsafe takeReplyChunks(connection, bytes)
        case .untilClose:
            unsafe send(connection, bytes)
            return bytes.count
        case .none:
            finishReply(connection)
            return bytes.count
        }
    }

    private mutating func takeReplyChunks(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if exchanges[connection].decodesChunks { return unsafe decodeReplyChunks(connection, bytes) }
        var consumed = 0
        var blanks = 0
        let status = unsafe exchanges[connection].replyChunks.advanceReply(
            bytes, consumed: &consumed, blanks: &blanks)
        unsafe send(connection, UnsafeRawBufferPointer(rebasing: bytes[..<consumed]))
        switch status {
        case .more: return blanks > 0 ? consumed + blanks : bytes.count
        case .finished: finishReply(connection)
        case .broken: failExchange(connection, .failedBroken)
        }
        return max(1, consumed)
    }

    /// For a client of HTTP/1.0: the chunks' contents alone.
    private mutating func decodeReplyChunks(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        var status = ChunkedReader.Status.more
        while true {
            let data = unsafe exchanges[connection].replyChunks.nextData(bytes, offset: &offset, status: &status)
            if data.isEmpty { break }
            unsafe send(connection, UnsafeRawBufferPointer(rebasing: bytes[data.lowerBound..<data.upperBound]))
        }
        switch status {
        case .more: return bytes.count
        case .finished: finishReply(connection)
        case .broken: failExchange(connection, .failedBroken)
        }
        return max(1, offset)
    }

    /// The reply is complete. The stream has done its work, and the connection goes on or ends.
    @_noLocks
    mutating func finishReply(_ connection: Int32) {
        retire(connection)
        exchanges[connection].reply = .none
        var isEarly = false
        if case .body = exchanges[connection].request { isEarly = true }
        if isEarly, exchanges[connection].keepsAlive {
            skipRest(connection)
        } else if isEarly || isConnect(connection) {
            discard(connection)
        } else if !exchanges[connection].keepsAlive || isDraining {
            discardRest(connection)
            connections[connection].closeAfterFlush()
            markDirty(connection: connection)
        } else {
            exchanges[connection].request = .head
            becomeIdle(connection)
        }
    }

    /// The reply was early and promised that the connection goes on: behind what is left of the body.
    private mutating func skipRest(_ connection: Int32) {
        exchanges[connection].request = .skipped
        exchanges[connection].past.phaseSince = now
        schedule(connection, at: now + pollingPeriod)
        queues.servable.append(connection)
    }

    @_noLocks
    func isConnect(_ connection: Int32) -> Bool {
        if case .connect = exchanges[connection].method { return true }
        return false
    }

    /// Between requests.
    @_noLocks
    mutating func becomeIdle(_ connection: Int32) {
        exchanges[connection].past.phaseSince = now
        if !timers.isScheduled(connection) { schedule(connection, at: now + pollingPeriod) }
        queues.servable.append(connection)
    }

    /// The service ended a stream (FIN).
    @_noLocks
    mutating func serviceFinished(_ stream: Int32) {
        let connection = streams[stream].connection
        guard connection >= 0 else { return finishUnused(stream) }
        if case .relay = connections[connection].client.mode { return settle(connection) }
        switch (exchanges[connection].reply, exchanges[connection].replyFraming) {
        case (.body, .untilClose):
            finishReply(connection)
            settle(connection)
        default: loseExchange(connection, isUndelivered: false)
        }
    }

    /// The reply is none that could be passed on: 502 if nothing of it was, else the connection ends, so that nobody
    /// takes it for complete.
    @_noLocks
    mutating func failExchange(_ connection: Int32, _ why: ListenerCounter) {
        leaveStream(connection)
        if case .head = exchanges[connection].reply {
            refuse(connection, why)
        } else {
            cut(connection, counting: .cutBrokenChunks)
        }
    }

    /// The head of the reply is refused.
    private mutating func failRefused(_ connection: Int32) {
        failExchange(connection, ListenerCounter(refusingReply: scratch.responseHead.refusal.replyCause))
    }

    /// Gives an exchange up that the client or the clock has ended: with a status if nothing of a reply was passed on.
    @_noLocks
    mutating func giveUp(_ connection: Int32, _ why: ListenerCounter) {
        let isUntouched: Bool
        if case .body = exchanges[connection].reply { isUntouched = false } else { isUntouched = true }
        leaveStream(connection)
        if isUntouched { refuse(connection, why) } else { cut(connection, counting: why.ofBegunReply) }
    }

    /// Ends a connection in the middle of a reply. Where the length says that bytes are missing a plain end will do,
    /// and what was sent arrives; a reply that ends with its connection can only be cut by a reset.
    @_noLocks
    mutating func cut(_ connection: Int32, counting why: ListenerCounter) {
        if case .untilClose = exchanges[connection].replyFraming { return cutOff(connection, counting: why) }
        exchanges[connection].reply = .none
        if exchanges[connection].decodesChunks { return cutOff(connection, counting: why) }
        count(why, connection)
        // Something is missing: close_notify would say the contrary.
        connections[connection].ownEnd = .said
        discardRest(connection)
        connections[connection].closeAfterFlush()
        settle(connection)
    }

    /// Answers by ourselves and ends the connection; a raw one is just ended.
    @_noLocks
    mutating func refuse(_ connection: Int32, _ why: ListenerCounter) {
        if case .http = connections[connection].client.mode {
            reply(connection, why, close: true)
            leaveStream(connection)
            discard(connection)
        } else {
            close(connection, reset: false, counting: why.ofRaw)
        }
    }

    /// Nothing of the client interests any more: it gets what is to be sent, then a FIN, and has a moment to go.
    @_noLocks
    mutating func discard(_ connection: Int32) {
        // What it was to be sent may have ended it.
        guard !connections[connection].isClosing else { return }
        stopWaiting(connection)
        endKeeping(connection)
        pool.clear(&connections[connection].received)
        connections[connection].isMidHead = false
        discardRest(connection)
        exchanges[connection].reply = .none
        connections[connection].linger()
        exchanges[connection].past.phaseSince = now
        schedule(connection, at: now + limits.stallTimeout)
        markDirty(connection: connection)
    }

    /// Sends a reply of ours, and counts it.
    @_noLocks
    mutating func reply(_ connection: Int32, _ why: ListenerCounter, close: Bool) {
        var bodyless = false
        if case .head = exchanges[connection].method { bodyless = true }
        let status = why.status
        let count = unsafe CannedReply.write(
            status: status, cause: why.replyCause, retryAfterSeconds: status == 503 ? 1 : 0, close: close,
            bodyless: bodyless, date: UnsafeRawBufferPointer(date.bytes), to: scratch.edited)
        unsafe send(connection, scratch.edited.first(count))
        // Who could not even be sent that has been counted as reset.
        if !connections[connection].isClosing { self.count(why, connection) }
    }
}
