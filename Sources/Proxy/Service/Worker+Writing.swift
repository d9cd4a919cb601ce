import Memory
import Yamux

// Frames of a session, put behind those that it has to send.
extension Worker {
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
        assert(
            sessions[session].egress.lateBytes <= sessions[session].egress.frames.count + FrameHeader.byteCount,
            "rule 19: what is late waits")
        scheduleLate(session)
    }

    /// The session's tick sends what has waited until then.
    @_noLocks
    mutating func scheduleLate(_ session: Int32) {
        schedule(timer(ofSession: session), at: now + DataPlaneLimits.lateMilliseconds)
    }

    /// False: there was no block for it.
    @_noLocks
    func put(_ header: FrameHeader, in chain: inout Chain) -> Bool {
        let size = FrameHeader.byteCount
        guard let place = unsafe pool.reserve(size, in: &chain) else { return false }
        unsafe header.write(to: place)
        pool.commit(size, to: &chain)
        return true
    }

    /// No block is left for a frame that must go out: the session cannot go on. The pool is sized so that this takes
    /// a limit that was set too low for what the session already holds.
    @_noLocks
    mutating func exhausted(_ session: Int32) {
        sessions[session].egress.isExhausted = true
        markDirty(session: session)
    }

    @_noLocks
    mutating func markDirty(session: Int32) {
        queues.dirtySessions.append(session)
    }

    /// Writes a ping of ours behind everything else, resets included: its answer, or a later one's, shows that all of
    /// it has been read. One that overtook them would prove what is not true.
    @_noLocks
    mutating func writePing(_ value: UInt32, _ session: Int32) {
        writeHeader(FrameHeader.ping(value), session, isControl: false)
    }
}
