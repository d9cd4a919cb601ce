/// The four kinds of frame (yamux specification, "Type field").
@frozen public enum FrameType: UInt8, Sendable {
    /// Bytes of a stream; the length field counts the payload that follows.
    case data = 0
    /// More room for the receiver of this frame to send; the length field is the number of bytes added.
    case windowUpdate = 1
    /// A question (`syn`) or an answer (`ack`) on the session; the length field is the value to repeat.
    case ping = 2
    /// No new streams, please; the length field is a `GoAwayCode`.
    case goAway = 3

    /// The type with that number on the wire; nil if there is none.
    @inlinable @_noLocks
    init?(number: UInt8) {
        switch number {
        case 0: self = .data
        case 1: self = .windowUpdate
        case 2: self = .ping
        case 3: self = .goAway
        default: return nil
        }
    }
}

// The generic `==` of enums with raw values is refused in hot functions of debug builds; these are plain comparisons.
extension FrameType {
    @inlinable @_noLocks
    public static func == (left: FrameType, right: FrameType) -> Bool {
        left.tag == right.tag
    }

    @inlinable @_noLocks
    public static func != (left: FrameType, right: FrameType) -> Bool {
        left.tag != right.tag
    }

    /// The number in memory, which is the raw value: the cases stand in the order of their values.
    @inlinable var tag: UInt8 {
        @_noLocks get {
            unsafe unsafeBitCast(self, to: UInt8.self)
        }
    }
}

/// The flags of a frame. Bits that the specification does not name are kept and ignored.
@frozen public struct FrameFlags: OptionSet, Sendable {
    public let rawValue: UInt16

    @inlinable @_noLocks
    public init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    /// First frame of a stream, or a ping that wants an answer.
    @inlinable public static var syn: FrameFlags { @_noLocks get { FrameFlags(rawValue: 1) } }
    /// First frame of the side that accepted a stream, or the answer to a ping.
    @inlinable public static var ack: FrameFlags { @_noLocks get { FrameFlags(rawValue: 2) } }
    /// The sender of this frame sends no data after it on this stream.
    @inlinable public static var fin: FrameFlags { @_noLocks get { FrameFlags(rawValue: 4) } }
    /// The stream is over in both directions at once.
    @inlinable public static var reset: FrameFlags { @_noLocks get { FrameFlags(rawValue: 8) } }

    // The protocol's own versions of these are generic; the bare bit operations stay cheap in debug builds too.

    @inlinable @_noLocks
    public func contains(_ member: FrameFlags) -> Bool {
        rawValue & member.rawValue == member.rawValue
    }

    @inlinable @_noLocks
    public func union(_ other: FrameFlags) -> FrameFlags {
        FrameFlags(rawValue: rawValue | other.rawValue)
    }
}

/// Why a side wants no new streams (yamux specification, "Go Away").
@frozen public enum GoAwayCode: UInt32, Sendable {
    /// It ends in good order.
    case normal = 0
    /// It has seen a breach of the protocol.
    case protocolError = 1
    /// It has a fault of its own.
    case internalError = 2
}

/// The 12 bytes in front of every frame: version 0, type, flags, stream, length, all big endian.
@frozen public struct FrameHeader: Equatable, Sendable {
    /// Bytes that a header takes on the wire.
    @inlinable public static var byteCount: Int { @_noLocks get { 12 } }

    public var type: FrameType
    public var flags: FrameFlags
    /// The stream that the frame belongs to, 0 for the session itself.
    public var streamID: UInt32
    /// Payload bytes, bytes of credit, value of a ping or code of a GoAway, as `type` says.
    public var length: UInt32

    @inlinable @_noLocks
    public init(type: FrameType, flags: FrameFlags, streamID: UInt32, length: UInt32) {
        self.type = type
        self.flags = flags
        self.streamID = streamID
        self.length = length
    }

    /// Writes the `byteCount` bytes of the header; `target` needs no alignment.
    @inlinable @_noLocks
    public func write(to target: UnsafeMutableRawPointer) {
        let first = UInt32(type.rawValue) << 16 | UInt32(flags.rawValue)
        unsafe target.storeBytes(of: first.bigEndian, toByteOffset: 0, as: UInt32.self)
        unsafe target.storeBytes(of: streamID.bigEndian, toByteOffset: 4, as: UInt32.self)
        unsafe target.storeBytes(of: length.bigEndian, toByteOffset: 8, as: UInt32.self)
    }
}

/// The frames that carry no payload, by what they say.
extension FrameHeader {
    /// A ping that the other side has to answer with the same value.
    @inlinable @_noLocks
    public static func ping(_ value: UInt32) -> FrameHeader {
        FrameHeader(type: .ping, flags: .syn, streamID: 0, length: value)
    }

    /// The answer to a ping with that value.
    @inlinable @_noLocks
    public static func pong(_ value: UInt32) -> FrameHeader {
        FrameHeader(type: .ping, flags: .ack, streamID: 0, length: value)
    }

    /// The announcement that no new streams are wanted.
    @inlinable @_noLocks
    public static func goAway(_ code: GoAwayCode) -> FrameHeader {
        FrameHeader(type: .goAway, flags: FrameFlags(rawValue: 0), streamID: 0, length: code.rawValue)
    }

    /// The end of a stream in both directions.
    @inlinable @_noLocks
    public static func reset(_ streamID: UInt32) -> FrameHeader {
        FrameHeader(type: .windowUpdate, flags: .reset, streamID: streamID, length: 0)
    }

    /// `count` bytes of credit on a stream, with what `flags` say besides.
    @inlinable @_noLocks
    public static func windowUpdate(_ streamID: UInt32, _ count: UInt32, flags: FrameFlags) -> FrameHeader {
        FrameHeader(type: .windowUpdate, flags: flags, streamID: streamID, length: count)
    }
}
