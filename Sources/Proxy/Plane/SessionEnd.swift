/// Why a session ended; what the control thread logs.
public enum SessionEnd: UInt8, CaseIterable, Sendable {
    case closed = 1
    case reset
    case breach
    case silent
    case drained
    case noMemory
    case stopped
    case unresponsive

    /// A clause: "the service …".
    public var clause: String {
        switch self {
        case .closed: "the service closed it"
        case .reset: "the connection broke"
        case .breach: "the service broke the protocol"
        case .silent: "the service did not answer a ping in time"
        case .drained: "the service said GoAway and its streams have ended"
        case .noMemory: "the buffers were exhausted"
        case .stopped: "the proxy stops"
        case .unresponsive: "the service took no bytes in time"
        }
    }
}

extension SessionEnd {
    var place: UInt64 {
        @_noLocks get { UInt64(unsafe unsafeBitCast(self, to: UInt8.self)) + 1 }
    }
}

/// How a session was when it was last looked at, a second ago at most.
public struct SessionFigures: Sendable {
    public let streams: UInt64
    /// The shortest of late; 0: it has not been measured, because no stream needed it.
    public let roundTripMicroseconds: UInt64

    public init(word: UInt64) {
        streams = word >> 32
        roundTripMicroseconds = word & 0xFFFF_FFFF
    }

    @_noLocks
    static func word(streams: Int32, roundTripMicroseconds: UInt32) -> UInt64 {
        UInt64(UInt32(bitPattern: streams)) << 32 | UInt64(roundTripMicroseconds)
    }
}

/// What became of a session's streams in the moment that it was lost, or said GoAway; for the log.
public struct SessionTally: BitwiseCopyable, Sendable {
    // Each count stays at its highest value.

    /// Sent again elsewhere, or waiting for that.
    public var sentAgain: UInt16 = 0
    /// Answered with 502 by us.
    public var failed: UInt16 = 0
    /// Relays, and replies that had begun: cut.
    public var cut: UInt16 = 0

    @_noLocks
    public init() {}

    @_noLocks
    init(word: UInt64) {
        sentAgain = UInt16(truncatingIfNeeded: word)
        failed = UInt16(truncatingIfNeeded: word >> 16)
        cut = UInt16(truncatingIfNeeded: word >> 32)
    }

    /// The highest count stands for all above it.
    @inline(__always) @_noLocks
    static func increment(_ count: inout UInt16) {
        if count < 0xFFFF { count += 1 }
    }

    var word: UInt64 {
        @_noLocks get { UInt64(sentAgain) | UInt64(failed) << 16 | UInt64(cut) << 32 }
    }
}
