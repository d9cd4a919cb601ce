import Exchanges
import HTTP1
import Memory

extension Worker {
    /// Passes on bytes of the reply's body, and sees its end. Returns how many were taken.
    @_noLocks
    mutating func takeReplyBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if exchanges[connection].state.decodesChunks { return unsafe decodeReplyChunks(connection, bytes) }
        let piece = unsafe exchanges[connection].state.takeReply(bytes)
        if piece.passed > 0 {
            unsafe send(connection, UnsafeRawBufferPointer(rebasing: bytes[..<piece.passed]))
        }
        switch piece.status {
        case .more: break
        case .finished: finishReply(connection)
        case .broken: failExchange(connection, .failedBroken)
        }
        return piece.taken
    }

    /// For a client of HTTP/1.0: the chunks' contents alone.
    @_noLocks
    mutating func decodeReplyChunks(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        var offset = 0
        var status = ChunkedReader.Status.more
        while true {
            let data = unsafe exchanges[connection].state.nextData(bytes, offset: &offset, status: &status)
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
        noteReplied(connection)
        switch exchanges[connection].state.finishReply(isLast: isDraining) {
        case .next: becomeIdle(connection)
        case .rest: skipRest(connection)
        case .endAmidRequest: discard(connection)
        case .end:
            discardRest(connection)
            connections[connection].closeAfterFlush()
            markDirty(connection: connection)
        }
    }

    /// The reply was early and promised that the connection goes on: behind what is left of the body.
    @_noLocks
    mutating func skipRest(_ connection: Int32) {
        exchanges[connection].state.past.phaseSince = now
        schedule(connection, at: now + pollingPeriod)
        queues.servable.append(connection)
    }

    /// Between requests.
    @_noLocks
    mutating func becomeIdle(_ connection: Int32) {
        assert(!exchanges[connection].half.exists, "rule 29: who is idle is not served")
        exchanges[connection].state.past.phaseSince = now
        if !timers.isScheduled(connection) { schedule(connection, at: now + pollingPeriod) }
        queues.servable.append(connection)
    }
}
