extension StreamState {
    /// Takes from the window what the next data frame may carry: `payloadLimit` (a frame's size), `maximum` (the bytes
    /// there are) or the window, whichever is least. 0 if there is no window or the stream was reset. Not after FIN.
    @inlinable @_noLocks
    public mutating func sendFrame(maximum: UInt32, payloadLimit: UInt32) -> UInt32 {
        precondition(!finSent, "data after FIN")
        guard !isReset else { return 0 }
        let count = min(sendRoom, min(maximum, payloadLimit))
        sendRoom -= count
        return count
    }

    /// The flags that the next frame of this stream must carry: SYN on the first if we opened it, ACK on the first if
    /// we accepted it, else none. Call it once for every frame that goes out, `sendReset` excepted.
    @inlinable @_noLocks
    public mutating func flagsForNextFrame() -> FrameFlags {
        guard !marks.contains(.announced) else { return FrameFlags(rawValue: 0) }
        precondition(!isReset, "a stream that was reset is not announced")
        marks.insert(.announced)
        return marks.contains(.accepted) ? .ack : .syn
    }

    /// Notes that the next frame carries FIN. Ask for its flags first: FIN may stand beside SYN or ACK, but must not
    /// stand beside data. Go services take the flags of a frame before its payload, and may report the end without the
    /// data.
    @inlinable @_noLocks
    public mutating func sendFin() {
        precondition(canSendFin, "FIN twice or after RST")
        precondition(isAnnounced, "FIN before the first frame's flags were asked for")
        marks.insert(.finSent)
        checkInvariants()
    }

    /// Notes that RST goes out (`FrameHeader.reset`). Nothing may follow. If the stream was not acknowledged, tell
    /// `SessionState.aborted`.
    @inlinable @_noLocks
    public mutating func sendReset() {
        precondition(canSendReset, "RST twice, before the first frame or on a stream that is over")
        marks.insert(.resetSent)
        checkInvariants()
    }
}
