/// What a frame asks of the owner of its session.
@frozen public enum SessionAction: Equatable, Sendable {
    /// Nothing. A payload of the frame is to be dropped.
    case nothing
    /// Send `FrameHeader.pong` with this value, ahead of all data.
    case answerPing(UInt32)
    /// Our ping with this value has come back: whatever we sent before it has been received. Ask
    /// `SessionState.isAnswered` for each stream that was taken back.
    case pong(UInt32)
    /// The other side wants no new streams. Those that it has acknowledged go on. Comes at most once.
    case drain
    /// Refuse the stream of this id by `FrameHeader.reset`. A payload of the frame is to be dropped.
    case refuseStream(UInt32)
    /// The other side opens a stream; only as acceptor. Make its `StreamState` by `init(acceptedID:)` and give it this
    /// header, or call `SessionState.refuseStream` if there is no room.
    case acceptStream(UInt32)
    /// The session is over.
    case breach(Breach)
}

/// What has to be done to find out whether the other side is alive.
@frozen public enum LivenessStep: Equatable, Sendable {
    case nothing
    /// Send `FrameHeader.ping` with this value.
    case sendPing(UInt32)
    /// It has not been heard of in time; the session is over.
    case dead
}
