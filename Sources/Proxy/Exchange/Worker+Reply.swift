import HTTP1
import Memory

extension Worker {
    /// Takes bytes of a reply's head; usually all of it is there.
    @_noLocks
    mutating func takeReplyHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard !hasHeadInPieces(connection) else { return unsafe continueReplyHead(connection, bytes) }
        switch unsafe scratch.responseHead.scan(bytes, limits: headLimits, request: exchanges[connection].method) {
        case .complete:
            unsafe passReplyHead(connection, bytes)
            return scratch.responseHead.byteCount
        case .refused where !hasBareLineFeed:
            failRefused(connection)
            return bytes.count
        case .refused, .incomplete:
            return unsafe continueReplyHead(connection, bytes)
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
    private mutating func continueReplyHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        var parts = parts(connection)
        if parts.head.isEmpty { parts.headEnd = HeadEndFinder() }
        let end = unsafe parts.headEnd.advanceInReply(bytes)
        let count = end >= 0 ? end : bytes.count
        let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
        let isKept = unsafe pool.append(piece, to: &parts.head, sparing: limits.sparedBlocks)
        set(parts, connection)
        guard isKept else {
            failExchange(connection, .failedNoMemory)
            return bytes.count
        }
        guard parts.head.count <= limits.headBytes else {
            failExchange(connection, .failedTooLarge)
            return bytes.count
        }
        guard end >= 0 else { return bytes.count }
        let size = unsafe pool.copy(parts.head, to: scratch.assembly)
        pool.clear(&parts.head)
        set(parts, connection)
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
        noteAnswered(connection)
        if scratch.responseHead.isSwitching || isTunnel(connection) { return unsafe passSwitch(connection, bytes) }
        exchanges[connection].beginReply(
            scratch.responseHead.framing, length: scratch.responseHead.contentLength,
            keepsStream: scratch.responseHead.keepAlive)
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
        credit(connection, owed, isFlowing: true)
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
        exchanges[connection].endReply()
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

    @_noLocks
    func isConnect(_ connection: Int32) -> Bool {
        if case .connect = exchanges[connection].method { return true }
        return false
    }
}
