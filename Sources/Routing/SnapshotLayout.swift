/// What a snapshot is made of, in the order in which it lies in its one allocation: the header, then one array after
/// the other. Everything refers to everything else by index, so that the whole could lie anywhere.
///
/// Written by the control thread while nobody else knows the address, then only read.
@usableFromInline struct SnapshotHeader: BitwiseCopyable {
    @usableFromInline var generation: UInt64 = 0
    /// Secret of the process: services choose the keys.
    var hashSeed: UInt64 = 0
    // Byte offsets of the arrays.
    @usableFromInline var listeners = 0
    @usableFromInline var domains = 0
    @usableFromInline var routes = 0
    @usableFromInline var sessions = 0
    var domainSlots = 0
    var routeSlots = 0
    var idSlots = 0
    var lengths = 0
    var keys = 0
    // Sizes of the tables, each a power of two, less one.
    var domainSlotMask: UInt64 = 0
    var routeSlotMask: UInt64 = 0
    var idSlotMask: UInt64 = 0
    // Counts of the arrays.
    @usableFromInline var listenerCount = 0
    var domainCount = 0
    @usableFromInline var routeCount = 0
    var byteCount = 0
}

/// One slot of listeners, used or not.
@usableFromInline struct ListenerRecord: BitwiseCopyable {
    @usableFromInline var flags = ListenerFlags()
    /// Index of the raw route, or -1.
    @usableFromInline var rawRoute: Int32 = -1
    /// Index of the domain with the empty suffix, or -1.
    var everyHost: Int32 = -1
    /// The different lengths of its other suffixes, ascending.
    var lengths = LengthRange()
    /// The address of what certificates are chosen from, or 0.
    @usableFromInline var certificates: UInt = 0
}

/// One domain suffix of one listener.
@usableFromInline struct DomainRecord: BitwiseCopyable {
    var key: KeyRange
    var listener: Int32
    /// The longest other domain of the listener that matches whatever this one matches, or -1.
    var parent: Int32 = -1
    /// Index of the route with the empty prefix, or -1.
    var everyPath: Int32 = -1
    /// The different lengths of its other prefixes, ascending.
    var lengths = LengthRange()
}

/// One route.
@usableFromInline struct RouteRecord: BitwiseCopyable {
    @usableFromInline var id: UInt32
    @usableFromInline var flags: RouteFlags
    /// The slot of its figures.
    @usableFromInline var figures: UInt16
    @usableFromInline var firstSession: UInt32
    @usableFromInline var sessionCount: UInt32
    /// The domain that it belongs to; -1 if it is raw.
    var domain: Int32 = -1
    /// The path prefix.
    var key = KeyRange()
}

/// Where a key lies. Keys begin at whole words and are filled up with zeros.
@usableFromInline struct KeyRange: BitwiseCopyable {
    /// In words of 8 bytes from the beginning of the keys, so that 32 bits reach 32 GiB.
    var firstWord: UInt32 = 0
    /// In bytes.
    var count: UInt32 = 0
}

/// A part of the array of lengths.
@usableFromInline struct LengthRange: BitwiseCopyable {
    var first: UInt32 = 0
    var count: UInt32 = 0
}

@usableFromInline struct ListenerFlags: OptionSet, BitwiseCopyable, Sendable {
    @usableFromInline var rawValue: UInt32
    @inlinable @_noLocks init(rawValue: UInt32) { self.rawValue = rawValue }

    @inlinable static var exists: ListenerFlags { @_noLocks get { ListenerFlags(rawValue: 1 << 0) } }
    @inlinable static var http: ListenerFlags { @_noLocks get { ListenerFlags(rawValue: 1 << 1) } }
    @inlinable static var raw: ListenerFlags { @_noLocks get { ListenerFlags(rawValue: 1 << 2) } }
}

@usableFromInline struct RouteFlags: OptionSet, BitwiseCopyable, Sendable {
    @usableFromInline var rawValue: UInt16
    @inlinable @_noLocks init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable static var raw: RouteFlags { @_noLocks get { RouteFlags(rawValue: 1 << 0) } }
    @inlinable static var reuseStreams: RouteFlags { @_noLocks get { RouteFlags(rawValue: 1 << 1) } }
}

/// An entry of the tables of domains and routes: the upper half of the hash, then index + 1. 0 is a free slot.
/// Open addressing, linear, at most half full, so that each search ends.
enum Slot {
    @inline(__always)
    @_noLocks static func isFree(_ entry: UInt64) -> Bool {
        entry == 0
    }

    @inline(__always)
    @_noLocks static func entry(hash: UInt64, index: Int32) -> UInt64 {
        hash & 0xffff_ffff_0000_0000 | UInt64(UInt32(bitPattern: index &+ 1))
    }

    @inline(__always)
    @_noLocks static func matches(_ entry: UInt64, _ hash: UInt64) -> Bool {
        (entry ^ hash) >> 32 == 0
    }

    @inline(__always)
    @_noLocks static func index(_ entry: UInt64) -> Int32 {
        Int32(bitPattern: UInt32(truncatingIfNeeded: entry)) &- 1
    }

    /// How many slots a table for so many entries has.
    static func tableSize(entries: Int) -> Int {
        var size = 2
        while size < 2 * entries {
            size *= 2
        }
        return size
    }
}
