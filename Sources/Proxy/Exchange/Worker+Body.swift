import Exchanges
import HTTP1
import Memory

extension Worker {
    /// Passes on bytes of a request's body. Returns how many were taken.
    @_noLocks
    mutating func passBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if exchanges[connection].state.isInTrailers { return unsafe passTrailers(connection, bytes) }
        let room = claimRoom(connection, wanted: bytes.count)
        guard room > 0 else { return 0 }
        let count = unsafe takeBody(connection, bytes, atMost: room)
        assert(count <= room, "rule 18: no more is passed on than there is room for")
        // A broken chunk has ended the exchange: nothing of it goes on.
        guard exchanges[connection].half.exists else { return bytes.count }
        guard count > 0 else {
            return exchanges[connection].state.isInTrailers ? unsafe passTrailers(connection, bytes) : bytes.count
        }
        exchanges[connection].state.lastProgress = now
        let passed = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
        unsafe offer(connection, passed)
        unsafe keepPassed(connection, passed)
        return count
    }

    /// How many of these bytes belong to the body, at most so many; the body's end is noted. A chunk that is none ends
    /// the connection, for what follows it must not be taken for a request.
    @_noLocks
    mutating func takeBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer, atMost room: Int) -> Int {
        guard exchanges[connection].state.isInBody else { return 0 }
        let piece = unsafe exchanges[connection].state.takeBody(bytes, atMost: room)
        if piece.isBroken { giveUp(connection, .refusedChunks) }
        return piece.count
    }

    /// Passes on trailer fields but those that only the head may carry. Returns how many bytes were taken. A window too
    /// small for what is held back takes none; its next growth calls (`receive`).
    @inline(never)
    private mutating func passTrailers(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        // As much as the bytes and what is held back may come to, which the window and the scratch space bound.
        let room = claimRoom(connection, wanted: bytes.count + TrailerFilter.longestHeld)
        guard room > TrailerFilter.longestHeld else { return 0 }
        let piece = unsafe bytes[..<(min(room, scratch.edited.count) - TrailerFilter.longestHeld)]
        let section = unsafe exchanges[connection].state.takeTrailers(UnsafeRawBufferPointer(rebasing: piece))
        guard !section.isBroken else {
            giveUp(connection, .refusedChunks)
            return bytes.count
        }
        let taken = unsafe UnsafeRawBufferPointer(rebasing: piece[..<section.count])
        var parts = parts(connection)
        let count = unsafe parts.trailers.pass(taken, to: scratch.edited)
        set(parts, connection)
        if count > 0 { unsafe offer(connection, scratch.edited.first(count)) }
        exchanges[connection].state.lastProgress = now
        unsafe keepPassed(connection, taken)
        return section.count
    }
}
