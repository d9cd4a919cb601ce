/// One stream: its windows and how far its two directions have come. Plain words, so that it can live in a slab.
///
/// The caller feeds `receive` with every data and window update header of the stream and tells `consumed` what the far
/// socket has taken; it asks `sendFrame` how much may go out and sets the flags of each frame by `flagsForNextFrame`,
/// `sendFin` and `sendReset`. Streams that we open send their first frames in the order of their opening.
@frozen public struct StreamState: Sendable {
    /// What both sides may send at first, in bytes (yamux specification, "Flow Control").
    @inlinable public static var initialWindow: UInt32 { @_noLocks get { 256 * 1024 } }
    /// The most that a window ever grows to, in bytes. Go services count credit in 32 bits without a check.
    @inlinable public static var maximumWindow: UInt32 { @_noLocks get { 16 * 1024 * 1024 } }
    /// Credit is given for half a window, and of large ones for so much, in bytes: who gets half of a large window at
    /// once sends it at once, and nobody may be there to take it.
    @inlinable public static var largestUnannounced: UInt32 { @_noLocks get { 256 * 1024 } }

    public let id: UInt32
    @usableFromInline var sendRoom: UInt32
    @usableFromInline var receiveRoom: UInt32
    /// Bytes taken by the far socket for which no credit has been given yet.
    @usableFromInline var unannounced: UInt32
    /// `receiveRoom` + bytes received and not taken yet + `unannounced`.
    @usableFromInline var windowSize: UInt32
    @usableFromInline var marks: StreamMarks

    /// A stream that we open; its first frame will carry SYN.
    @inlinable @_noLocks
    public init(id: UInt32) {
        precondition(id != 0, "stream 0 is the session")
        self.id = id
        sendRoom = StreamState.initialWindow
        receiveRoom = StreamState.initialWindow
        unannounced = 0
        windowSize = StreamState.initialWindow
        marks = StreamMarks(rawValue: 0)
    }

    /// A stream that the other side opens. Call `receive` next, with the header that carried its SYN; our first frame
    /// will carry ACK.
    @inlinable @_noLocks
    public init(acceptedID id: UInt32) {
        self.init(id: id)
        marks.insert(.accepted)
        marks.insert(.synAwaited)
        marks.insert(.acknowledged)
    }
}

extension StreamState {
    /// Payload bytes that we may still send.
    @inlinable public var sendWindow: UInt32 { @_noLocks get { sendRoom } }
    /// Payload bytes that the other side may still send.
    @inlinable public var receiveWindow: UInt32 { @_noLocks get { receiveRoom } }
    /// Beyond `initialWindow`: how far the other side's window has grown.
    @inlinable public var receiveWindowGrowth: UInt32 { @_noLocks get { windowSize - StreamState.initialWindow } }
    /// Whether the other side is known to have accepted the stream. True from the start if we accepted it.
    @inlinable public var isAcknowledged: Bool { @_noLocks get { marks.contains(.acknowledged) } }
    /// Whether our first frame has been taken. A stream without it is unknown to the other side: end it silently.
    @inlinable public var isAnnounced: Bool { @_noLocks get { marks.contains(.announced) } }
    @inlinable public var finSent: Bool { @_noLocks get { marks.contains(.finSent) } }
    @inlinable public var finReceived: Bool { @_noLocks get { marks.contains(.finReceived) } }
    @inlinable public var resetSent: Bool { @_noLocks get { marks.contains(.resetSent) } }
    @inlinable public var resetReceived: Bool { @_noLocks get { marks.contains(.resetReceived) } }
    /// Whether either side has sent RST.
    @inlinable public var isReset: Bool { @_noLocks get { resetSent || resetReceived } }
    /// Whether both directions are over. A payload of the frame that ended the stream may still have to come.
    @inlinable public var isFinished: Bool { @_noLocks get { (finSent && finReceived) || isReset } }
    /// Whether FIN may be sent now.
    @inlinable public var canSendFin: Bool { @_noLocks get { !finSent && !isReset } }
    /// Whether RST may be sent now; it may follow FIN, but nothing on a stream that is over.
    @inlinable public var canSendReset: Bool {
        @_noLocks get {
            !isFinished && (isAnnounced || marks.contains(.accepted))
        }
    }

    /// Bytes received and not taken by the far socket yet.
    @inlinable public var bytesBuffered: UInt32 {
        @_noLocks get {
            windowSize - receiveRoom - unannounced
        }
    }
}

/// What has happened on a stream so far.
@frozen @usableFromInline struct StreamMarks: Sendable {
    @usableFromInline var rawValue: UInt16

    @inlinable @_noLocks
    init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// The other side opened the stream.
    @inlinable static var accepted: StreamMarks { @_noLocks get { StreamMarks(rawValue: 1) } }
    /// The frame with its SYN is the next to come.
    @inlinable static var synAwaited: StreamMarks { @_noLocks get { StreamMarks(rawValue: 2) } }
    /// Our first frame has been taken.
    @inlinable static var announced: StreamMarks { @_noLocks get { StreamMarks(rawValue: 4) } }
    /// A frame without RST has come, or the other side opened the stream.
    @inlinable static var acknowledged: StreamMarks { @_noLocks get { StreamMarks(rawValue: 8) } }
    @inlinable static var finSent: StreamMarks { @_noLocks get { StreamMarks(rawValue: 16) } }
    @inlinable static var finReceived: StreamMarks { @_noLocks get { StreamMarks(rawValue: 32) } }
    @inlinable static var resetSent: StreamMarks { @_noLocks get { StreamMarks(rawValue: 64) } }
    @inlinable static var resetReceived: StreamMarks { @_noLocks get { StreamMarks(rawValue: 128) } }

    @inlinable @_noLocks
    func contains(_ member: StreamMarks) -> Bool {
        rawValue & member.rawValue != 0
    }

    @inlinable @_noLocks
    mutating func insert(_ member: StreamMarks) {
        rawValue |= member.rawValue
    }

    @inlinable @_noLocks
    mutating func remove(_ member: StreamMarks) {
        rawValue &= ~member.rawValue
    }
}

extension StreamState {
    /// What must hold between any two calls; checked after each change in debug builds.
    @inlinable @_noLocks
    func checkInvariants() {
        assert(windowSize >= StreamState.initialWindow && windowSize <= StreamState.maximumWindow)
        assert(receiveRoom <= windowSize && unannounced <= windowSize - receiveRoom)
        assert(!marks.contains(.finSent) || marks.contains(.announced), "FIN is never sent before SYN or ACK")
        assert(!marks.contains(.finReceived) || marks.contains(.acknowledged), "FIN acknowledges")
        assert(!marks.contains(.synAwaited) || marks.contains(.accepted), "only accepted streams wait for a SYN")
    }
}
