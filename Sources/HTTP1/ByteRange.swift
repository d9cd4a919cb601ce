/// A run of bytes, counted from the start of the bytes that were scanned.
///
/// Heads are bounded by ``HeadLimits/headBytes``, so 32 bits hold every offset.
@frozen public struct ByteRange: Sendable, Equatable {
    public var offset: UInt32
    public var count: UInt32

    /// The empty range.
    @_noLocks @inlinable public init() {
        offset = 0
        count = 0
    }

    @_noLocks @inlinable public init(offset: UInt32, count: UInt32) {
        self.offset = offset
        self.count = count
    }

    /// Whether there are no bytes in it.
    @inlinable public var isEmpty: Bool { @_noLocks get { count == 0 } }

    /// The offset of the first byte, as an index.
    @inlinable public var lowerBound: Int { @_noLocks get { Int(offset) } }

    /// The offset just after the last byte, as an index.
    @inlinable public var upperBound: Int { @_noLocks get { Int(offset) &+ Int(count) } }

    /// - Precondition: `0 <= start <= end < 2^32`, which ``HeadLimits`` guarantees inside a head.
    @_noLocks @inline(__always) init(_ start: Int, _ end: Int) {
        assert(start >= 0 && start <= end && end <= Int(UInt32.max))
        offset = UInt32(truncatingIfNeeded: start)
        count = UInt32(truncatingIfNeeded: end &- start)
    }
}

/// What a head may measure at most. Whatever is beyond is refused, never cut.
@frozen public struct HeadLimits: Sendable {
    /// Bytes of a whole head, empty line included; beyond: 431.
    public var headBytes: Int
    /// Field lines of a head; beyond: 431.
    public var fields: Int
    /// Bytes of a request target; beyond: 414.
    public var targetBytes: Int

    /// - Parameters:
    ///   - headBytes: 64 B to 1 GiB.
    ///   - fields: at least 1.
    ///   - targetBytes: at least 1.
    @_noLocks @inlinable public init(headBytes: Int = 65_536, fields: Int = 128, targetBytes: Int = 16_384) {
        precondition(headBytes >= 64 && headBytes <= 1 << 30, "a head is bounded by 64 B to 1 GiB")
        precondition(fields >= 1 && targetBytes >= 1, "a head has a target and fields")
        self.headBytes = headBytes
        self.fields = fields
        self.targetBytes = targetBytes
    }
}

/// What a scan of a head came to.
public enum HeadStatus: UInt8, Sendable {
    /// The whole head is there and valid.
    case complete
    /// All that is there is valid so far; scan again from the start when there is more.
    case incomplete
    /// No further byte can make it valid.
    case refused

    // The compiler's own comparisons make no promise about locks, and functions that do may not call them.
    @_noLocks @inlinable public static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }
    @_noLocks @inlinable public static func != (left: Self, right: Self) -> Bool { left.rawValue != right.rawValue }
}

/// How the end of a body is found (RFC 9112 §6.3).
public enum BodyFraming: UInt8, Sendable, BitwiseCopyable {
    /// No body bytes follow; a Content-Length of 0 counts as that.
    case none
    /// As many bytes follow as Content-Length says, at least one.
    case counted
    /// Chunks follow: see ``ChunkedReader``.
    case chunked
    /// Everything up to the end of the stream; replies only.
    case untilClose

    // The compiler's own comparisons make no promise about locks, and functions that do may not call them.
    @_noLocks @inlinable public static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }
    @_noLocks @inlinable public static func != (left: Self, right: Self) -> Bool { left.rawValue != right.rawValue }
}
