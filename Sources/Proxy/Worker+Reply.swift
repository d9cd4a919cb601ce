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
        connections[connection].owedCredit += UInt32(truncatingIfNeeded: bytes.count)
        connections[connection].lastProgress = now
        switch connections[connection].mode {
        case .relay:
            unsafe send(connection, bytes)
            return false
        case .http, .undecided: return unsafe deliverReply(connection, stream, bytes)
        }
    }

    @_noLocks
    private mutating func deliverReply(
        _ connection: Int32,
        _ stream: Int32,
        _ bytes: UnsafeRawBufferPointer
    ) -> Bool {
        var offset = 0
        while offset < bytes.count, !connections[connection].isClosing, connections[connection].stream == stream {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
            if case .relay = connections[connection].mode {
                unsafe send(connection, rest)
                return false
            }
            switch connections[connection].reply {
            case .none: return true
            case .head: offset += unsafe takeReplyHead(connection, stream, rest)
            case .body: offset += unsafe takeReplyBody(connection, rest)
            }
        }
        return offset < bytes.count
    }

    /// Takes bytes of a reply's head; usually all of it is there.
    @_noLocks
    private mutating func takeReplyHead(
        _ connection: Int32,
        _ stream: Int32,
        _ bytes: UnsafeRawBufferPointer
    ) -> Int {
        let method = connections[connection].method
        if streams[stream].partial.isEmpty {
            switch unsafe responseHead.scan(bytes, limits: headLimits, request: method) {
            case .complete:
                unsafe passReplyHead(connection, bytes)
                return responseHead.byteCount
            case .refused: failExchange(connection)
            case .incomplete:
                streams[stream].headEnd = HeadEndFinder()
                _ = unsafe streams[stream].headEnd.advance(bytes)
                if unsafe !pool.append(bytes, to: &streams[stream].partial) { failExchange(connection) }
            }
            return bytes.count
        }
        return unsafe continueReplyHead(connection, stream, bytes)
    }

    /// A head in pieces: only as much is taken as belongs to it, and it is scanned once it is whole.
    @_noLocks
    private mutating func continueReplyHead(
        _ connection: Int32,
        _ stream: Int32,
        _ bytes: UnsafeRawBufferPointer
    ) -> Int {
        let end = unsafe streams[stream].headEnd.advance(bytes)
        let count = end >= 0 ? end : bytes.count
        let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
        guard unsafe pool.append(piece, to: &streams[stream].partial),
            streams[stream].partial.count <= limits.headBytes
        else {
            failExchange(connection)
            return bytes.count
        }
        guard end >= 0 else { return bytes.count }
        let size = unsafe pool.copy(streams[stream].partial, to: assembly)
        pool.clear(&streams[stream].partial)
        let whole = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(assembly)[..<size])
        switch unsafe responseHead.scan(whole, limits: headLimits, request: connections[connection].method) {
        case .complete where responseHead.byteCount == size: unsafe passReplyHead(connection, whole)
        case .complete, .refused, .incomplete: failExchange(connection)
        }
        return count
    }

    /// A complete head, in `responseHead` and `bytes`, goes to the client as it must look there.
    @_noLocks
    private mutating func passReplyHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        if responseHead.isInterim, !responseHead.isSwitching {
            // A client of HTTP/1.0 knows no interim replies.
            guard !connections[connection].isHTTP10 else { return skipInterim(connection) }
            dropKept(connection)
            connections[connection].hasHeardInterim = true
            if responseHead.status == 100 { connections[connection].expectsContinue = false }
            unsafe sendHead(connection, bytes, close: false)
            return
        }
        // From now on the client knows of the service's answer.
        dropKept(connection)
        let stream = connections[connection].stream
        noteAnswered(stream, streams[stream].session)
        if responseHead.isSwitching { return unsafe passSwitch(connection, bytes) }
        connections[connection].replyFraming = responseHead.framing
        connections[connection].replyLeft = responseHead.contentLength
        connections[connection].replyChunks = ChunkedReader()
        connections[connection].decodesChunks = false
        connections[connection].reply = .body
        connections[connection].serviceKeepsStream = responseHead.keepAlive
        decidePersistence(connection)
        let close = !connections[connection].keepsAlive
        if isTunnel(connection) {
            unsafe sendHead(connection, bytes, close: false)
            becomeRelay(connection)
            return
        }
        unsafe sendHead(connection, bytes, close: close)
        switch responseHead.framing {
        case .none: finishReply(connection)
        case .counted, .chunked, .untilClose: break
        }
    }

    /// Nothing goes to the client, so nothing will be sent that gives the service its credit back.
    @_noLocks
    private mutating func skipInterim(_ connection: Int32) {
        guard !connections[connection].hasUnsent else { return }
        let owed = connections[connection].owedCredit
        connections[connection].owedCredit = 0
        giveCredit(connections[connection].stream, owed, isFlowing: true)
    }

    /// Whether the client's connection outlives this reply.
    @_noLocks
    private mutating func decidePersistence(_ connection: Int32) {
        switch responseHead.framing {
        case .untilClose: connections[connection].keepsAlive = false
        case .chunked where connections[connection].isHTTP10:
            connections[connection].decodesChunks = true
            connections[connection].keepsAlive = false
        case .none, .counted, .chunked: break
        }
        // Who was promised 100-continue and gets something else may send its body or not: nobody can tell.
        if connections[connection].expectsContinue, case .body = connections[connection].request {
            connections[connection].keepsAlive = false
        }
        if isDraining { connections[connection].keepsAlive = false }
    }

    /// A successful reply to CONNECT: what follows is a relay.
    @_noLocks
    private func isTunnel(_ connection: Int32) -> Bool {
        if case .connect = connections[connection].method { return responseHead.status / 100 == 2 }
        return false
    }

    /// 101, which only an upgrade may get.
    @_noLocks
    private mutating func passSwitch(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) {
        guard connections[connection].isUpgrade else { return failExchange(connection) }
        unsafe sendHead(connection, bytes, close: false)
        becomeRelay(connection)
    }

    @_noLocks
    private mutating func becomeRelay(_ connection: Int32) {
        connections[connection].mode = .relay
        connections[connection].reply = .none
        timers.cancel(connection)
        feedReceived(connection)
    }

    @_noLocks
    private mutating func sendHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer, close: Bool) {
        let edit = ResponseEdit(
            close: close,
            clientMinorVersion: connections[connection].isHTTP10 ? 0 : 1
        )
        let count = unsafe responseHead.writeEdited(from: bytes, edit: edit, to: edited)
        unsafe send(connection, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(edited)[..<count]))
    }

    /// Passes on bytes of the reply's body, and sees its end. Returns how many were taken.
    @_noLocks
    private mutating func takeReplyBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        switch connections[connection].replyFraming {
        case .counted:
            let count = Int(min(UInt64(bytes.count), connections[connection].replyLeft))
            unsafe send(connection, UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            connections[connection].replyLeft -= UInt64(count)
            if connections[connection].replyLeft == 0 { finishReply(connection) }
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

    @_noLocks
    private mutating func takeReplyChunks(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if connections[connection].decodesChunks { return unsafe decodeReplyChunks(connection, bytes) }
        var consumed = 0
        let status = unsafe connections[connection].replyChunks.advance(bytes, consumed: &consumed)
        unsafe send(connection, UnsafeRawBufferPointer(rebasing: bytes[..<consumed]))
        switch status {
        case .more: return bytes.count
        case .finished: finishReply(connection)
        case .broken: failExchange(connection)
        }
        return max(1, consumed)
    }

    /// For a client of HTTP/1.0: the chunks' contents alone.
    @_noLocks
    private mutating func decodeReplyChunks(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        var status = ChunkedReader.Status.more
        while true {
            let data = unsafe connections[connection].replyChunks.nextData(bytes, offset: &offset, status: &status)
            if data.isEmpty { break }
            unsafe send(connection, UnsafeRawBufferPointer(rebasing: bytes[data.lowerBound..<data.upperBound]))
        }
        switch status {
        case .more: return bytes.count
        case .finished: finishReply(connection)
        case .broken: failExchange(connection)
        }
        return max(1, offset)
    }

    /// The reply is complete. The stream has done its work, and the connection goes on or ends.
    @_noLocks
    mutating func finishReply(_ connection: Int32) {
        retire(connection)
        connections[connection].reply = .none
        var isEarly = false
        if case .body = connections[connection].request { isEarly = true }
        if isEarly {
            // The rest of the body is nobody's: the client is told to go, and what it still sends is dropped.
            discard(connection)
        } else if !connections[connection].keepsAlive || isDraining {
            connections[connection].request = .discarded
            connections[connection].closesAfterFlush = true
            markDirty(connection: connection)
        } else {
            connections[connection].request = .head
            becomeIdle(connection)
        }
    }

    /// Between requests.
    @_noLocks
    mutating func becomeIdle(_ connection: Int32) {
        connections[connection].phaseSince = now
        if !timers.isScheduled(connection) { schedule(connection, at: now + pollingPeriod) }
        servable.append(connection)
    }

    /// The service ended a stream (FIN).
    @_noLocks
    mutating func serviceFinished(_ stream: Int32) {
        let connection = streams[stream].connection
        guard connection >= 0 else { return finishUnused(stream) }
        if case .relay = connections[connection].mode { return settle(connection) }
        switch (connections[connection].reply, connections[connection].replyFraming) {
        case (.body, .untilClose):
            finishReply(connection)
            settle(connection)
        default: loseExchange(connection, isUndelivered: false)
        }
    }

    /// The reply is none that could be passed on: 502 if nothing of it was, else the connection ends, so that nobody
    /// takes it for complete.
    @_noLocks
    mutating func failExchange(_ connection: Int32) {
        noteFailure()
        leaveStream(connection)
        if case .head = connections[connection].reply {
            count(.failedBroken, connection)
            refuse(connection, status: 502)
        } else {
            count(.cut, connection)
            cut(connection)
        }
    }

    /// Gives an exchange up that the client or the clock has ended: with a status if nothing of a reply was passed on.
    @_noLocks
    mutating func giveUp(_ connection: Int32, status: UInt16) {
        bump(.failed)
        let isUntouched: Bool
        if case .body = connections[connection].reply { isUntouched = false } else { isUntouched = true }
        leaveStream(connection)
        if isUntouched { refuse(connection, status: status) } else { cut(connection) }
    }

    /// Ends a connection in the middle of a reply. Where the length says that bytes are missing a plain end will do,
    /// and what was sent arrives; a reply that ends with its connection can only be cut by a reset.
    @_noLocks
    mutating func cut(_ connection: Int32) {
        if case .untilClose = connections[connection].replyFraming { return close(connection, reset: true) }
        connections[connection].reply = .none
        if connections[connection].decodesChunks { return close(connection, reset: true) }
        // Something is missing: close_notify would say the contrary.
        connections[connection].hasSaidEnd = true
        connections[connection].request = .discarded
        connections[connection].closesAfterFlush = true
        settle(connection)
    }

    /// Answers by ourselves and ends the connection; a raw one is just ended.
    @_noLocks
    mutating func refuse(_ connection: Int32, status: UInt16, cause: CannedReply.Cause = .none) {
        if case .http = connections[connection].mode {
            var bodyless = false
            if case .head = connections[connection].method, status == 502 || status == 503 || status == 504 {
                bodyless = true
            }
            reply(
                connection, status: status, cause: cause, retryAfter: status == 503 ? 1 : 0, close: true,
                bodyless: bodyless)
            leaveStream(connection)
            discard(connection)
        } else {
            close(connection, reset: false)
        }
    }

    /// Nothing of the client interests any more: it gets what is to be sent, then a FIN, and has a moment to go.
    @_noLocks
    mutating func discard(_ connection: Int32) {
        stopWaiting(connection)
        endKeeping(connection)
        pool.clear(&connections[connection].received)
        connections[connection].isMidHead = false
        connections[connection].request = .discarded
        connections[connection].reply = .none
        connections[connection].closesAfterFlush = true
        connections[connection].lingers = true
        connections[connection].phaseSince = now
        schedule(connection, at: now + limits.stallTimeout)
        markDirty(connection: connection)
    }

    @_noLocks
    mutating func reply(
        _ connection: Int32, status: UInt16, cause: CannedReply.Cause = .none, retryAfter: Int, close: Bool,
        bodyless: Bool
    ) {
        let count = unsafe CannedReply.write(
            status: status, cause: cause, retryAfterSeconds: retryAfter, close: close, bodyless: bodyless, to: edited)
        unsafe send(connection, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(edited)[..<count]))
    }
}
