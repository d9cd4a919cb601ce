/// What a frame has changed on its stream, or the breach that it was. Act on `breach` first: if there is one, the
/// session is over and nothing else is set.
@frozen public struct StreamEvent: OptionSet, Sendable {
    public let rawValue: UInt8
    /// The breach that the frame was, or `none`.
    public let breach: Breach

    @inlinable @_noLocks
    public init(rawValue: UInt8) {
        self.rawValue = rawValue
        breach = .none
    }

    @inlinable @_noLocks
    init(_ breach: Breach) {
        rawValue = 0
        self.breach = breach
    }

    /// The first frame without RST on a stream that we opened: the service has accepted it. Give its place among the
    /// unacknowledged back by `SessionState.acknowledged`. Comes at most once, and never after our own RST.
    @inlinable public static var acknowledged: StreamEvent { @_noLocks get { StreamEvent(rawValue: 1) } }
    /// There is a window to send into again, after there was none.
    @inlinable public static var windowOpened: StreamEvent { @_noLocks get { StreamEvent(rawValue: 2) } }
    /// FIN: the payload of this frame is the last. Comes at most once.
    @inlinable public static var finished: StreamEvent { @_noLocks get { StreamEvent(rawValue: 4) } }
    /// RST: both directions are over; a payload of this frame is to be dropped. Comes at most once.
    @inlinable public static var reset: StreamEvent { @_noLocks get { StreamEvent(rawValue: 8) } }
    /// With `reset`: the stream was refused before anybody accepted it, so nothing of it was delivered. Give its place
    /// back by `SessionState.refused`. Never after our own RST.
    @inlinable public static var refused: StreamEvent { @_noLocks get { StreamEvent(rawValue: 16) } }
    /// The frame came when nobody waited for it any more: after FIN or RST. Its payload is to be dropped.
    @inlinable public static var late: StreamEvent { @_noLocks get { StreamEvent(rawValue: 32) } }
    /// With `late`: the first frame without RST, but after our own RST. The service had accepted the stream that we
    /// took back, so it may have seen what we sent; tell `SessionState.acknowledgedLate`. Comes at most once.
    @inlinable public static var acknowledgedLate: StreamEvent { @_noLocks get { StreamEvent(rawValue: 64) } }

    @inlinable @_noLocks
    public func contains(_ member: StreamEvent) -> Bool {
        rawValue & member.rawValue == member.rawValue
    }

    /// Whether the frame changed nothing but windows.
    @inlinable public var isEmpty: Bool {
        @_noLocks get {
            rawValue == 0 && breach == .none
        }
    }

    @inlinable @_noLocks
    public static func == (left: StreamEvent, right: StreamEvent) -> Bool {
        left.rawValue == right.rawValue && left.breach == right.breach
    }
}
