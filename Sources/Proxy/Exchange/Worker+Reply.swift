import Exchanges
import HTTP1
import Memory

extension Worker {
    /// Takes bytes of a reply's head; usually all of it is there.
    @_noLocks
    mutating func takeReplyHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        guard !hasHeadInPieces(connection) else { return unsafe continueReplyHead(connection, bytes) }
        switch unsafe scratch.responseHead.scan(bytes, limits: headLimits, request: exchanges[connection].state.method)
        {
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
        let method = exchanges[connection].state.method
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
        let step = exchanges[connection].state.take(scratch.responseHead, isLast: isDraining)
        switch step {
        case .unknownInterim: return skipInterim(connection)
        // From now on the client knows of the service.
        case .interim, .relay, .unaskedRelay, .reply: dropKept(connection)
        }
        if case .interim = step { return unsafe sendHead(connection, bytes, close: false) }
        noteAnswered(connection)
        noteReplyHead(connection, status: scratch.responseHead.status)
        switch step {
        case .relay:
            unsafe sendHead(connection, bytes, close: false)
            becomeRelay(connection)
        case .unaskedRelay: failExchange(connection, .failedUnaskedSwitch)
        case .reply, .interim, .unknownInterim:
            unsafe sendHead(connection, bytes, close: !exchanges[connection].state.keepsAlive)
            if case .none = scratch.responseHead.framing { finishReply(connection) }
        }
    }

    /// Nothing goes to the client, so nothing will be sent that gives the service its credit back.
    private mutating func skipInterim(_ connection: Int32) {
        guard !connections[connection].hasUnsent else { return }
        let owed = exchanges[connection].owedCredit
        exchanges[connection].owedCredit = 0
        credit(connection, owed, isFlowing: true)
    }

    /// 101, or a 2xx to CONNECT, has gone on.
    private mutating func becomeRelay(_ connection: Int32) {
        guard !connections[connection].isClosing else { return }
        noteSwitched(connection)
        connections[connection].client.mode = .relay
        exchanges[connection].state.endReply()
        timers.cancel(connection)
        feedReceived(connection)
    }

    private mutating func sendHead(_ connection: Int32, _ bytes: UnsafeRawBufferPointer, close: Bool) {
        let edit = ResponseEdit(
            close: close,
            clientMinorVersion: exchanges[connection].state.isHTTP10 ? 0 : 1
        )
        let count = unsafe scratch.responseHead.writeEdited(
            from: bytes, edit: edit, date: UnsafeRawBufferPointer(date.bytes), to: scratch.edited)
        unsafe send(connection, scratch.edited.first(count))
    }
}
