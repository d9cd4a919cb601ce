import HTTP1
import Memory
import Reactor
import Yamux

extension Worker {
    /// Passes on bytes of a request's body. Returns how many were taken.
    @_noLocks
    mutating func passBody(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        if isInTrailers(connection) { return unsafe passTrailers(connection, bytes) }
        let room = sendingRoom(connection, wanted: bytes.count)
        guard room > 0 else { return 0 }
        let stream = exchanges[connection].stream
        let count = unsafe takeBody(connection, bytes, atMost: room)
        // A broken chunk has ended the exchange: nothing of it goes on.
        guard exchanges[connection].stream == stream else { return bytes.count }
        guard count > 0 else { return isInTrailers(connection) ? unsafe passTrailers(connection, bytes) : bytes.count }
        exchanges[connection].lastProgress = now
        let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        let passed = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<count])
        unsafe writeFrame(stream, passed, none)
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
            let count = Int(min(UInt64(limit), exchanges[connection].requestLeft))
            noteBody(connection, count)
            exchanges[connection].requestLeft -= UInt64(count)
            if exchanges[connection].requestLeft == 0 { exchanges[connection].request = .finished }
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
        case .finished: exchanges[connection].request = .finished
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
        let room = sendingRoom(connection, wanted: bytes.count + TrailerFilter.longestHeld)
        guard room > TrailerFilter.longestHeld else { return 0 }
        let piece = unsafe bytes[..<(min(room, scratch.edited.count) - TrailerFilter.longestHeld)]
        var consumed = 0
        let status = unsafe exchanges[connection].requestChunks.advanceTrailers(
            UnsafeRawBufferPointer(rebasing: piece), consumed: &consumed)
        switch status {
        case .more: break
        case .finished: exchanges[connection].request = .finished
        case .broken:
            giveUp(connection, .refusedChunks)
            return bytes.count
        }
        let taken = unsafe UnsafeRawBufferPointer(rebasing: piece[..<consumed])
        let stream = exchanges[connection].stream
        let count = unsafe streams[stream].trailers.pass(taken, to: scratch.edited)
        if count > 0 {
            let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            unsafe writeFrame(stream, scratch.edited.first(count), none)
        }
        exchanges[connection].lastProgress = now
        unsafe keepPassed(connection, taken)
        return consumed
    }

    /// How many bytes the connection may write to its stream now. When the session has too much to send already, the
    /// connection queues up; when the stream has no window, its opening will call.
    @_noLocks
    func sendingRoom(_ connection: Int32, wanted: Int) -> Int {
        let stream = exchanges[connection].stream
        guard stream >= 0, !streams[stream].isTakenBack else { return 0 }
        let window = Int(streams[stream].state.sendWindow)
        guard window > 0 else { return 0 }
        let session = streams[stream].session
        let isQueued = connectionLinks.isLinked(connection)
        let isCrowded = sessions[session].egress.frames.count >= DataPlaneLimits.egressBytes
        // Others that wait come first, unless it is this one's turn (`pump` has taken it out of the queue).
        if isQueued || isCrowded || !hasEgressBlocks {
            if !isQueued { connectionLinks.append(connection, to: &sessions[session].egress.ready) }
            return 0
        }
        return min(wanted, min(window, DataPlaneLimits.frameBytes))
    }

    /// Whether the pool has blocks for a frame and what may come with it.
    var hasEgressBlocks: Bool {
        @_noLocks get { pool.inUse + 2 * DataPlaneLimits.frameBytes / BlockPool.blockBytes < memory.blocksForBytes }
    }

    /// Writes a data frame with these bytes, for which the window has room.
    @_noLocks
    mutating func writeFrame(_ stream: Int32, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) {
        let count = UInt32(truncatingIfNeeded: first.count + second.count)
        let taken = streams[stream].state.sendFrame(maximum: count, payloadLimit: count)
        precondition(taken == count, "the window was looked at before")
        noteFirstFrame(stream)
        let flags = streams[stream].state.flagsForNextFrame()
        let header = FrameHeader(type: .data, flags: flags, streamID: streams[stream].state.id, length: count)
        let session = streams[stream].session
        writeHeader(header, session, isControl: false)
        sessions[session].egress.written += UInt64(count)
        let isWritten =
            unsafe pool.append(first, to: &sessions[session].egress.frames)
            && pool.append(second, to: &sessions[session].egress.frames)
        if !isWritten { exhausted(session) }
    }

    /// The stream's next frame may be the first that the service hears of it: where that lies among all of the session.
    @_noLocks
    func noteFirstFrame(_ stream: Int32) {
        guard !streams[stream].state.isAnnounced else { return }
        streams[stream].firstByte = sessions[streams[stream].session].egress.written
    }

    /// Writes a header, ahead of data if it is a control frame.
    @_noLocks
    mutating func writeHeader(_ header: FrameHeader, _ session: Int32, isControl: Bool) {
        if isControl {
            if !put(header, in: &sessions[session].egress.control) { exhausted(session) }
        } else {
            if !put(header, in: &sessions[session].egress.frames) { exhausted(session) }
            sessions[session].egress.written += UInt64(FrameHeader.byteCount)
        }
        markDirty(session: session)
    }

    /// The frame takes its place behind the others, but is no reason for a send: it goes out with the next one, or in a
    /// moment. A service that answers one request at a time would cost a send more for each of them.
    @_noLocks
    mutating func writeLate(_ header: FrameHeader, _ session: Int32) {
        if !put(header, in: &sessions[session].egress.frames) { exhausted(session) }
        sessions[session].egress.written += UInt64(FrameHeader.byteCount)
        sessions[session].egress.lateBytes += FrameHeader.byteCount
        scheduleLate(session)
    }

    /// The session's tick sends what has waited until then.
    @_noLocks
    mutating func scheduleLate(_ session: Int32) {
        let due = now + DataPlaneLimits.lateMilliseconds
        let node = Int32(limits.connections) + session
        if timers.deadline(of: node) > due { timers.schedule(node, at: due) }
    }

    /// False: there was no block for it.
    private func put(_ header: FrameHeader, in chain: inout Chain) -> Bool {
        let size = FrameHeader.byteCount
        guard let place = unsafe pool.reserve(size, in: &chain) else { return false }
        unsafe header.write(to: place)
        pool.commit(size, to: &chain)
        return true
    }

    /// No block is left for a frame that must go out: the session cannot go on. The pool is sized so that this takes
    /// a limit that was set too low for what the session already holds.
    private mutating func exhausted(_ session: Int32) {
        sessions[session].egress.isExhausted = true
        markDirty(session: session)
    }

    @_noLocks
    mutating func markDirty(session: Int32) {
        queues.dirtySessions.append(session)
    }
}
