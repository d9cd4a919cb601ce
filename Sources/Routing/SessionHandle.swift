/// Names one session for ever: the reactor that owns it, its slot there and the generation of the slot.
///
/// Given out by the control thread. One that is no longer valid is recognised by its generation.
@frozen public struct SessionHandle: Hashable, Sendable {
    /// Reactor in the highest 8 bits, generation in the next 24, index in the lowest 32. Sorting by it sorts by
    /// reactor.
    public let rawValue: UInt64

    /// - Parameters:
    ///   - reactor: 0..<`reactorLimit`
    ///   - index: 0...`UInt32.max`
    ///   - generation: below 2^24
    @inlinable @_noLocks public init(reactor: Int, index: Int, generation: UInt32) {
        precondition(reactor >= 0 && reactor < Self.reactorLimit, "no such reactor")
        precondition(index >= 0 && index <= Int(UInt32.max), "no such slot")
        precondition(generation <= Self.generationMaximum, "generations have 24 bits")
        rawValue = UInt64(reactor) << 56 | UInt64(generation) << 32 | UInt64(index)
    }

    /// A handle as it was stored somewhere, in `user_data` for example.
    @inlinable @_noLocks public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    @inlinable public var reactor: Int { @_noLocks get { Int(rawValue >> 56) } }
    @inlinable public var generation: UInt32 {
        @_noLocks get { UInt32(truncatingIfNeeded: rawValue >> 32) & Self.generationMaximum }
    }
    @inlinable public var index: Int { @_noLocks get { Int(rawValue & 0xffff_ffff) } }

    /// Names no session.
    @inlinable public static var none: SessionHandle { @_noLocks get { SessionHandle(rawValue: .max) } }

    /// How many reactors handles can tell apart. The last value of the 8 bits is left to `none`.
    @inlinable public static var reactorLimit: Int { @_noLocks get { 255 } }
    /// The generation after this one is 0 again.
    @inlinable public static var generationMaximum: UInt32 { @_noLocks get { 0xff_ffff } }
}
