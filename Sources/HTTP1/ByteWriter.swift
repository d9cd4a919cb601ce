/// Writes into memory of the caller, from its start on. Writing beyond its end is a fault of ours, and traps.
@safe struct ByteWriter {
    /// Invariant: `capacity` bytes from here on are writable as long as this value is in use, the first `count` of them
    /// written.
    private let start: UnsafeMutableRawPointer
    private let capacity: Int
    private(set) var count = 0

    /// - Precondition: the memory has at least one byte.
    @_noLocks @inline(__always) init(_ memory: UnsafeMutableRawBufferPointer) {
        guard let base = memory.baseAddress else { preconditionFailure("there is memory to write to") }
        unsafe start = base
        capacity = memory.count
    }

    /// What has been written.
    var written: UnsafeRawBufferPointer {
        @_noLocks get { unsafe UnsafeRawBufferPointer(start: start, count: count) }
    }

    subscript(index: Int) -> UInt8 {
        @_noLocks @inline(__always) get {
            precondition(index >= 0 && index < count, "only what is written can be read")
            return unsafe start.load(fromByteOffset: index, as: UInt8.self)
        }
    }

    @_noLocks @inline(__always) mutating func append(_ byte: UInt8) {
        precondition(count < capacity, "the caller's memory is large enough")
        unsafe start.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    @_noLocks @inline(__always) mutating func append(_ literal: StaticString) {
        unsafe append(UnsafeRawBufferPointer(start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    @_noLocks @inline(__always) mutating func append(_ bytes: PaddedBytes, _ range: ByteRange) {
        unsafe append(bytes.raw(range.lowerBound..<range.upperBound))
    }

    /// - Precondition: `start <= end`.
    @_noLocks @inline(__always) mutating func append(_ bytes: PaddedBytes, from start: Int, to end: Int) {
        unsafe append(bytes.raw(start..<end))
    }

    @_noLocks @inline(__always) mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        precondition(bytes.count <= capacity &- count, "the caller's memory is large enough")
        unsafe (start + count).copyMemory(from: source, byteCount: bytes.count)
        count &+= bytes.count
    }

    /// Appends a number in decimal.
    @_noLocks mutating func append(decimal number: Int) {
        precondition(number >= 0, "lengths and times are not negative")
        var divisor = 1
        while number / divisor >= 10 { divisor &*= 10 }
        while divisor > 0 {
            append(Ascii.zero &+ UInt8(truncatingIfNeeded: number / divisor % 10))
            divisor /= 10
        }
    }

    /// Takes back what was written after the first `newCount` bytes.
    @_noLocks @inline(__always) mutating func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count, "only what is written can be taken back")
        count = newCount
    }
}
