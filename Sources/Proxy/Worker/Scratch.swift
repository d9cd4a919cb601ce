import HTTP1
import Memory
import Reactor

/// Where heads are read, put together and edited, and where what is read frame by frame is copied to. Whatever is to
/// outlive the call that made it is copied out: the next head takes its place.
@safe
struct Scratch: ~Copyable {
    var requestHead = RequestHead()
    var responseHead = ResponseHead()
    let assembly: UnsafeMutableRawBufferPointer
    let edited: UnsafeMutableRawBufferPointer
    let path: UnsafeMutableRawBufferPointer
    let bulk: UnsafeMutableRawBufferPointer

    init(_ limits: DataPlaneLimits) {
        let headSpace = limits.headBytes + limits.receiveBufferBytes + RequestHead.editedHeadSlack + 8192
        unsafe assembly = Self.space(headSpace)
        unsafe edited = Self.space(headSpace)
        unsafe path = Self.space(limits.headBytes)
        unsafe bulk = Self.space(DataPlaneLimits.bulkSpaceBytes)
    }

    static func space(_ count: Int) -> UnsafeMutableRawBufferPointer {
        // Scanners read up to 64 bytes beyond what they are given.
        unsafe UnsafeMutableRawBufferPointer(start: Region(byteCount: count + 64).base, count: count)
    }
}

extension UnsafeMutableRawBufferPointer {
    /// So many bytes from its beginning.
    @_noLocks @inline(__always)
    func first(_ count: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(self)[..<count])
    }
}

/// The time as `Date` has it: one text a second, in whole seconds of the wall's clock.
@safe
struct DateText: ~Copyable {
    let bytes: UnsafeMutableRawBufferPointer
    private var due: UInt64 = 0

    init() { unsafe bytes = Scratch.space(HTTPDate.byteCount) }

    @_noLocks @inline(__always)
    mutating func update(now: UInt64) {
        if now >= due { write(now) }
    }

    @_noLocks @inline(never)
    private mutating func write(_ now: UInt64) {
        let milliseconds = Sockets.wallMilliseconds()
        unsafe HTTPDate.write(secondsSinceEpoch: milliseconds / 1_000, to: bytes)
        due = now + 1_000 - milliseconds % 1_000
    }
}
