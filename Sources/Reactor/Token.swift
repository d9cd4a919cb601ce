/// What a completion belongs to: the kind of operation, and the slot and generation of its owner. It travels through
/// the kernel as user data, so that a completion that is late for its owner is recognised.
@frozen
public struct Token: BitwiseCopyable, Equatable, Sendable {
    public let rawValue: UInt64

    @inlinable @_noLocks
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// - Parameters:
    ///   - kind: the operation's kind, as its user numbers them.
    ///   - generation: at most 24 bits.
    @inlinable @_noLocks
    public init(kind: UInt8, generation: UInt32, index: Int32) {
        let owner = UInt64(generation & 0xFF_FFFF) << 32 | UInt64(UInt32(bitPattern: index))
        self.rawValue = UInt64(kind) << 56 | owner
    }

    @inlinable public var kind: UInt8 { @_noLocks get { UInt8(truncatingIfNeeded: rawValue >> 56) } }
    @inlinable public var generation: UInt32 {
        @_noLocks get { UInt32(truncatingIfNeeded: rawValue >> 32) & 0xFF_FFFF }
    }
    @inlinable public var index: Int32 { @_noLocks get { Int32(truncatingIfNeeded: rawValue) } }
}
