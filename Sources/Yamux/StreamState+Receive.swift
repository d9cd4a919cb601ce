extension StreamState {
    /// Takes a data or window update header of this stream and says what it changed. A data header counts its whole
    /// payload against the window at once. What comes after the end of a direction is counted, reported as `late`
    /// and otherwise ignored: a service may write and close at the same time.
    @inlinable @_noLocks
    public mutating func receive(_ header: FrameHeader) -> StreamEvent {
        precondition(header.streamID == id, "a frame of another stream")
        let flags = header.flags.rawValue
        // Bytes of an accepted stream that goes on: nothing to look at but the window.
        if flags == 0, header.type == .data, isPlainlyOpen, header.length <= receiveRoom {
            receiveRoom -= header.length
            checkInvariants()
            return StreamEvent(rawValue: 0)
        }
        return receiveSlow(header)
    }

    /// Acknowledged, and the other side has ended nothing.
    @inlinable var isPlainlyOpen: Bool {
        @_noLocks get {
            let open = StreamMarks.acknowledged.rawValue
            let over =
                StreamMarks.finReceived.rawValue | StreamMarks.resetSent.rawValue
                | StreamMarks.resetReceived.rawValue | StreamMarks.synAwaited.rawValue
            return marks.rawValue & (open | over) == open
        }
    }

    @usableFromInline @_noLocks @inline(never)
    mutating func receiveSlow(_ header: FrameHeader) -> StreamEvent {
        guard takeSyn(header.flags) else { return StreamEvent(.unexpectedFlags) }
        let isReset = header.flags.contains(.reset)
        let wasClosed = sendRoom == 0
        let breach = count(header, isReset: isReset)
        guard breach == .none else { return StreamEvent(breach) }
        let event = isReset ? receiveReset() : receiveFlags(header, wasClosed: wasClosed)
        checkInvariants()
        return event
    }

    /// SYN stands on the first frame of a stream that the other side opened, and nowhere else.
    private mutating func takeSyn(_ flags: FrameFlags) -> Bool {
        let isAwaited = marks.contains(.synAwaited)
        marks.remove(.synAwaited)
        return flags.contains(.syn) == isAwaited
    }

    /// Moves the window that the frame is about. With RST the length of a window update is a reason, not credit.
    private mutating func count(_ header: FrameHeader, isReset: Bool) -> Breach {
        switch header.type {
        case .data:
            guard header.length <= receiveRoom else { return .windowExceeded }
            receiveRoom -= header.length
        case .windowUpdate:
            if isReset { return .none }
            let (sum, overflow) = sendRoom.addingReportingOverflow(header.length)
            if overflow { return .windowOverflow }
            sendRoom = sum
        case .ping, .goAway:
            preconditionFailure("a frame of the session, not of a stream")
        }
        return .none
    }

    private mutating func receiveReset() -> StreamEvent {
        guard !isFinished else {
            marks.insert(.resetReceived)
            return .late
        }
        let isRefusal = !marks.contains(.acknowledged)
        marks.insert(.resetReceived)
        return isRefusal ? StreamEvent(rawValue: StreamEvent.reset.rawValue | StreamEvent.refused.rawValue) : .reset
    }

    private mutating func receiveFlags(_ header: FrameHeader, wasClosed: Bool) -> StreamEvent {
        let isFirst = !marks.contains(.acknowledged)
        marks.insert(.acknowledged)
        if isReset {
            let first = isFirst ? StreamEvent.acknowledgedLate.rawValue : 0
            return StreamEvent(rawValue: StreamEvent.late.rawValue | first)
        }
        var event = isFirst ? StreamEvent.acknowledged.rawValue : 0
        if wasClosed, sendRoom > 0, !marks.contains(.finSent) {
            event |= StreamEvent.windowOpened.rawValue
        }
        if marks.contains(.finReceived) {
            // Credit goes on after the other side's FIN; data, or another FIN, is late.
            if header.type == .data || header.flags.contains(.fin) {
                event |= StreamEvent.late.rawValue
            }
        } else if header.flags.contains(.fin) {
            marks.insert(.finReceived)
            event |= StreamEvent.finished.rawValue
        }
        return StreamEvent(rawValue: event)
    }
}

extension StreamState {
    /// Notes that the far socket has taken `count` bytes of what was received, and returns the credit to announce now
    /// by a window update: half of the window or `largestUnannounced` or more, or 0. With `mayAnnounce` false the bytes
    /// are noted alone and announced by a later call; 0 is a good count for that. Nothing is announced once the other
    /// side has finished or either has reset.
    @inlinable @_noLocks
    public mutating func consumed(_ count: UInt32, mayAnnounce: Bool = true) -> UInt32 {
        precondition(count <= bytesBuffered, "more consumed than received")
        unannounced += count
        let worthwhile = min(windowSize / 2, StreamState.largestUnannounced)
        guard mayAnnounce, unannounced >= worthwhile, !finReceived, !isReset else { return 0 }
        return announce()
    }

    /// Enlarges the window by up to `count` bytes and returns the credit to announce at once: that, and all that was
    /// consumed without having been announced. 0 if the window has reached `maximumWindow` or the direction is over.
    @_noLocks
    public mutating func grow(by count: UInt32) -> UInt32 {
        guard !finReceived, !isReset else { return 0 }
        let growth = min(count, StreamState.maximumWindow - windowSize)
        guard growth > 0 else { return 0 }
        windowSize += growth
        unannounced += growth
        return announce()
    }

    /// Lets the window become smaller again, at most to this size and not below what every stream has: of what was
    /// consumed and not announced, nothing is given back. Returns by how much it shrank.
    @_noLocks
    public mutating func shrink(to size: UInt32) -> UInt32 {
        let smallest = max(size, StreamState.initialWindow)
        let reduction = min(unannounced, windowSize - min(windowSize, smallest))
        windowSize -= reduction
        unannounced -= reduction
        checkInvariants()
        return reduction
    }

    @inlinable @_noLocks
    mutating func announce() -> UInt32 {
        let credit = unannounced
        receiveRoom += credit
        unannounced = 0
        checkInvariants()
        return credit
    }
}
