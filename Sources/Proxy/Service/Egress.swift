import Memory

/// What a session has to send, and who has something for it.
struct Egress: BitwiseCopyable {
    /// Frames that overtake data: pongs, window updates.
    var control = Chain()
    /// Everything else, in the order of the frames.
    var frames = Chain()
    /// Bytes of `frames` that are no reason for a send.
    var lateBytes = 0
    /// What is under send, or was not sent whole.
    var flight = Chain()
    /// The pipe with the rest of a frame that has begun, to be sent behind `flight` before anything else; -1: none. And
    /// the connection whose bytes they are, -1 if that has ended meanwhile.
    var framePipe: Int32 = -1
    var frameOwner: Int32 = -1

    var isSending = false
    /// A frame could not be written whole.
    var isExhausted = false
    /// The registration's response has been written: frames may follow.
    var isAnnounced = false
    /// When the socket last took bytes.
    var lastSent: UInt64 = 0
    /// Bytes ever put into `frames`, and taken out of it to be sent.
    var written: UInt64 = 0
    var loaded: UInt64 = 0

    /// Connections with bytes for which there was no room.
    var ready = IndexList()
    /// Connections with bulk to send: one frame each, in turn.
    var bulk = IndexList()

    @_noLocks
    init() {}

    /// Bytes wait that are a reason for a send.
    var hasUrgent: Bool {
        @_noLocks get { frames.count > lateBytes || !flight.isEmpty || !control.isEmpty }
    }
    /// A spliced frame has begun, or may.
    var hasBulk: Bool { @_noLocks get { framePipe >= 0 || !bulk.isEmpty } }
    var isEmpty: Bool { @_noLocks get { control.isEmpty && frames.isEmpty && flight.isEmpty } }
}
