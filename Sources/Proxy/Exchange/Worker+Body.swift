import HTTP1
import Memory

extension Worker {
    /// Passes on bytes of a request's body. Returns how many were taken.
    @_noLocks
    mutating func passBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if isInTrailers(connection) { return unsafe passTrailers(connection, bytes) }
        let room = claimRoom(connection, wanted: bytes.count)
        guard room > 0 else { return 0 }
        let count = unsafe takeBody(connection, bytes, atMost: room)
        assert(count <= room, "rule 18: no more is passed on than there is room for")
        // A broken chunk has ended the exchange: nothing of it goes on.
        guard exchanges[connection].half.exists else { return bytes.count }
        guard count > 0 else { return isInTrailers(connection) ? unsafe passTrailers(connection, bytes) : bytes.count }
        exchanges[connection].lastProgress = now
        let passed = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
        unsafe offer(connection, passed)
        unsafe keepPassed(connection, passed)
        return count
    }

    /// How many of these bytes belong to the body, at most so many; the body's end is noted. A chunk that is none ends
    /// the connection, for what follows it must not be taken for a request.
    @_noLocks
    mutating func takeBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer, atMost room: Int) -> Int {
        guard case .body = exchanges[connection].request else { return 0 }
        let limit = min(room, bytes.count)
        switch exchanges[connection].requestFraming {
        case .counted:
            let count = exchanges[connection].takeCounted(limit)
            noteBody(connection, count)
            return count
        case .chunked:
            guard limit > 0 else { return 0 }
            noteBody(connection, limit)
            return unsafe takeChunks(connection, UnsafeRawBufferPointer(rebasing: bytes[..<limit]))
        case .none, .untilClose: return 0
        }
    }

    /// The body has begun: the client does not wait for 100, or not any more.
    private func noteBody(_ connection: Int32, _ count: Int) {
        if count > 0 { exchanges[connection].expectsContinue = false }
    }

    private mutating func takeChunks(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        var consumed = 0
        switch unsafe exchanges[connection].requestChunks.advance(bytes, consumed: &consumed) {
        case .more: break
        case .finished: exchanges[connection].finishRequest()
        case .broken: giveUp(connection, .refusedChunks)
        }
        return consumed
    }

    /// Whether what the client sends next is trailer fields, which are not all the service's.
    @_noLocks
    func isInTrailers(_ connection: Int32) -> Bool {
        guard case .chunked = exchanges[connection].requestFraming, case .body = exchanges[connection].request
        else {
            return false
        }
        return exchanges[connection].requestChunks.isInTrailers
    }

    /// Passes on trailer fields but those that only the head may carry. Returns how many bytes were taken. A window too
    /// small for what is held back takes none; its next growth calls (`receive`).
    @inline(never)
    private mutating func passTrailers(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        // As much as the bytes and what is held back may come to, which the window and the scratch space bound.
        let room = claimRoom(connection, wanted: bytes.count + TrailerFilter.longestHeld)
        guard room > TrailerFilter.longestHeld else { return 0 }
        let piece = unsafe bytes[..<(min(room, scratch.edited.count) - TrailerFilter.longestHeld)]
        var consumed = 0
        let status = unsafe exchanges[connection].requestChunks.advanceTrailers(
            UnsafeRawBufferPointer(rebasing: piece), consumed: &consumed)
        switch status {
        case .more: break
        case .finished: exchanges[connection].finishRequest()
        case .broken:
            giveUp(connection, .refusedChunks)
            return bytes.count
        }
        let taken = unsafe UnsafeRawBufferPointer(rebasing: piece[..<consumed])
        var parts = parts(connection)
        let count = unsafe parts.trailers.pass(taken, to: scratch.edited)
        set(parts, connection)
        if count > 0 { unsafe offer(connection, scratch.edited.first(count)) }
        exchanges[connection].lastProgress = now
        unsafe keepPassed(connection, taken)
        return consumed
    }
}
