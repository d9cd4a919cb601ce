/// How the other side has broken the protocol. A breach ends its session; the description is a clause for the log.
@frozen public enum Breach: UInt8, Sendable {
    /// No breach.
    case none
    /// A header with a version other than 0.
    case version
    /// A header with a type that does not exist.
    case frameType
    /// A stream opened with an id that only this side may use.
    case streamParity
    /// More data than its window allowed.
    case windowExceeded
    /// More credit than 32 bits can count.
    case windowOverflow
    /// Flags that cannot stand where they stood.
    case unexpectedFlags
    /// Data or a window update for stream 0, which is the session.
    case streamZero
    /// A frame for a stream that nobody has opened.
    case streamUnknown
    /// More pings than the session's allowance.
    case pingFlood
    /// More unwanted streams than the session's allowance.
    case synFlood
    /// Every one of many streams in a row refused.
    case refusalFlood
    /// A GoAway that accuses this side of a protocol error.
    case goAwayProtocolError
    /// A GoAway that tells of a fault of the other side's own.
    case goAwayInternalError
    /// A GoAway with a code that does not exist.
    case goAwayCode
}

// The generic `==` of enums with raw values is refused in hot functions of debug builds; these are plain comparisons.
extension Breach {
    @inlinable @_noLocks
    public static func == (left: Breach, right: Breach) -> Bool {
        left.number == right.number
    }

    @inlinable @_noLocks
    public static func != (left: Breach, right: Breach) -> Bool {
        left.number != right.number
    }

    /// The raw value, for hot functions: the number in memory, because the cases stand in the order of their values.
    @inlinable public var number: UInt8 {
        @_noLocks get {
            unsafe unsafeBitCast(self, to: UInt8.self)
        }
    }
}

extension Breach: CustomStringConvertible {
    /// A clause that completes "session lost: ".
    public var description: String {
        switch self {
        case .none: "no breach"
        case .version: "it sent a frame of an unknown version"
        case .frameType: "it sent a frame of an unknown type"
        case .streamParity: "it opened a stream with an id of ours"
        case .windowExceeded: "it sent more data than a window allowed"
        case .windowOverflow: "it granted more than 4 GiB of window"
        case .unexpectedFlags: "it sent a frame with flags that cannot stand there"
        case .streamZero: "it sent data or a window update for stream 0"
        case .streamUnknown: "it sent a frame for a stream that was never opened"
        case .pingFlood: "it sent too many pings"
        case .synFlood: "it tried to open too many streams"
        case .refusalFlood: "it refused too many streams in a row"
        case .goAwayProtocolError: "it reported a protocol error (GoAway 1)"
        case .goAwayInternalError: "it reported an internal error (GoAway 2)"
        case .goAwayCode: "it sent a GoAway with an unknown code"
        }
    }
}
