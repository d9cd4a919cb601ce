import HTTP1
import Memory

extension Worker {
    /// Passes on bytes of the reply's body, and sees its end. Returns how many were taken.
    @_noLocks
    mutating func takeReplyBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        switch exchanges[connection].replyFraming {
        case .counted:
            let count = Int(min(UInt64(bytes.count), exchanges[connection].replyLeft))
            unsafe send(connection, UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            if exchanges[connection].passReply(counted: count) { finishReply(connection) }
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
    mutating func takeReplyChunks(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
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
    @_noLocks
    mutating func decodeReplyChunks(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
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
        // Its last bytes may have ended it.
        guard !connections[connection].isClosing else { return }
        release(connection)
        exchanges[connection].endReply()
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
            exchanges[connection].beginNext()
            becomeIdle(connection)
        }
    }

    /// The reply was early and promised that the connection goes on: behind what is left of the body.
    @_noLocks
    mutating func skipRest(_ connection: Int32) {
        exchanges[connection].beginToSkip()
        exchanges[connection].past.phaseSince = now
        schedule(connection, at: now + pollingPeriod)
        queues.servable.append(connection)
    }

    /// Between requests.
    @_noLocks
    mutating func becomeIdle(_ connection: Int32) {
        assert(!exchanges[connection].half.exists, "rule 29: who is idle is not served")
        exchanges[connection].past.phaseSince = now
        if !timers.isScheduled(connection) { schedule(connection, at: now + pollingPeriod) }
        queues.servable.append(connection)
    }
}
