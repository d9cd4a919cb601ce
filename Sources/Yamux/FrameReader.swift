/// What `FrameReader.next` has found.
@frozen public struct FrameEvent: Sendable {
    @frozen public enum Kind: UInt8, Sendable {
        /// Nothing more can be told from these bytes.
        case needsBytes
        /// A whole header. Of a data frame the payload follows, unless its length is 0.
        case header
        /// A piece of a data frame's payload.
        case payload
        /// The bytes are not yamux. The reader stays in this state.
        case breach

        @inlinable @_noLocks
        public static func == (left: Kind, right: Kind) -> Bool {
            left.tag == right.tag
        }

        @inlinable @_noLocks
        public static func != (left: Kind, right: Kind) -> Bool {
            left.tag != right.tag
        }

        /// The number in memory, which is the raw value: the cases stand in the order of their values.
        @inlinable var tag: UInt8 {
            @_noLocks get {
                unsafe unsafeBitCast(self, to: UInt8.self)
            }
        }
    }

    /// Where the piece begins in the bytes given; 0 unless `kind` is `payload`.
    public var payloadOffset: Int
    /// Bytes of the piece, at least 1; 0 unless `kind` is `payload`.
    public var payloadCount: Int
    /// The header of the frame; meaningless for `needsBytes` and `breach`.
    public var header: FrameHeader
    public var kind: Kind
    /// The reason if `kind` is `breach`, else `none`.
    public var breach: Breach
    /// Whether the frame ends with this piece.
    public var isPayloadEnd: Bool

    @inlinable @_noLocks
    init(_ kind: Kind, header: FrameHeader, breach: Breach = .none) {
        self.payloadOffset = 0
        self.payloadCount = 0
        self.header = header
        self.kind = kind
        self.breach = breach
        self.isPayloadEnd = false
    }
}

/// Cuts the bytes of a session into headers and pieces of payload, wherever the bytes are split.
///
/// Call `next` with the same bytes and the same offset variable until it says `needsBytes`; all bytes are consumed
/// then. It looks at version and type alone: whether a frame may stand where it stands is for `StreamState` and
/// `SessionState` to say.
@frozen public struct FrameReader: Sendable {
    /// The frame being read.
    @usableFromInline var header: FrameHeader
    /// Payload bytes of that frame that have not been seen yet.
    @usableFromInline var payloadRemaining: UInt32
    /// A header that was split, its bytes shifted in from the right.
    @usableFromInline var partial0: UInt32
    @usableFromInline var partial1: UInt32
    @usableFromInline var partial2: UInt32
    /// How many bytes of it are there, 0...11.
    @usableFromInline var partialCount: UInt8
    @usableFromInline var breach: Breach

    @inlinable @_noLocks
    public init() {
        header = FrameHeader(type: .data, flags: FrameFlags(rawValue: 0), streamID: 0, length: 0)
        payloadRemaining = 0
        partial0 = 0
        partial1 = 0
        partial2 = 0
        partialCount = 0
        breach = .none
    }

    /// Whether bytes of an unfinished frame have been read.
    @inlinable public var isMidFrame: Bool {
        @_noLocks get {
            payloadRemaining > 0 || partialCount > 0
        }
    }

    /// Payload bytes of the frame that have not been seen yet.
    @inlinable public var payloadLeft: Int { @_noLocks get { Int(payloadRemaining) } }

    /// Notes that the next bytes of the payload go another way than through `next`. True: the frame ends with them.
    @inlinable @_noLocks
    public mutating func skipPayload(_ count: Int) -> Bool {
        precondition(count >= 0 && count <= Int(payloadRemaining), "more than there is of the payload")
        payloadRemaining -= UInt32(count)
        return payloadRemaining == 0
    }

    /// Reads on at `offset`, which must lie within `bytes`, and moves it behind what the event covers.
    @inlinable @_noLocks
    public mutating func next(in bytes: UnsafeRawBufferPointer, offset: inout Int) -> FrameEvent {
        precondition(offset >= 0 && offset <= bytes.count, "offset outside the bytes")
        let available = bytes.count - offset
        if payloadRemaining > 0 {
            return nextPayload(available: available, offset: &offset)
        }
        guard available >= FrameHeader.byteCount, partialCount == 0, breach == .none else {
            return unsafe nextPartial(in: bytes, offset: &offset)
        }
        let first = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        let second = unsafe bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
        let third = unsafe bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt32.self)
        offset += FrameHeader.byteCount
        return begin(UInt32(bigEndian: first), UInt32(bigEndian: second), UInt32(bigEndian: third))
    }

    @inlinable @_noLocks
    mutating func nextPayload(available: Int, offset: inout Int) -> FrameEvent {
        guard available > 0 else { return FrameEvent(.needsBytes, header: header) }
        let count = min(available, Int(payloadRemaining))
        var event = FrameEvent(.payload, header: header)
        event.payloadOffset = offset
        event.payloadCount = count
        payloadRemaining -= UInt32(count)
        event.isPayloadEnd = payloadRemaining == 0
        offset += count
        return event
    }

    /// Takes the three words of a header in host order.
    @inlinable @_noLocks
    mutating func begin(_ first: UInt32, _ second: UInt32, _ third: UInt32) -> FrameEvent {
        guard first >> 24 == 0 else { return end(.version) }
        guard let type = FrameType(number: UInt8(truncatingIfNeeded: first >> 16)) else { return end(.frameType) }
        let flags = FrameFlags(rawValue: UInt16(truncatingIfNeeded: first))
        header = FrameHeader(type: type, flags: flags, streamID: second, length: third)
        if type == .data {
            payloadRemaining = third
        }
        return FrameEvent(.header, header: header)
    }

    @usableFromInline @_noLocks @inline(never)
    mutating func end(_ breach: Breach) -> FrameEvent {
        self.breach = breach
        return FrameEvent(.breach, header: header, breach: breach)
    }

    /// The rare way: a header split between two receives, or bytes after a breach.
    @usableFromInline @_noLocks @inline(never)
    mutating func nextPartial(in bytes: UnsafeRawBufferPointer, offset: inout Int) -> FrameEvent {
        guard breach == .none else { return FrameEvent(.breach, header: header, breach: breach) }
        while offset < bytes.count {
            let byte = unsafe UInt32(bytes[offset])
            offset += 1
            switch partialCount {
            case 0..<4: partial0 = partial0 << 8 | byte
            case 4..<8: partial1 = partial1 << 8 | byte
            default: partial2 = partial2 << 8 | byte
            }
            partialCount += 1
            if Int(partialCount) == FrameHeader.byteCount {
                partialCount = 0
                return begin(partial0, partial1, partial2)
            }
        }
        return FrameEvent(.needsBytes, header: header)
    }
}
