internal import CKernel
internal import Memory

/// A ring of provided buffers: the kernel takes one when bytes arrive, so an idle connection pins none.
///
/// A buffer never outlives its turn: whoever gets one copies what it must keep and gives it back. The ring is first
/// in, first out, so its size is its cache footprint.
@safe
public struct ReceiveBuffers: ~Copyable {
    public let group: UInt16
    public let count: Int
    public let bufferBytes: Int
    private let ring: UnsafeMutablePointer<io_uring_buf_ring>
    private let memory: UnsafeMutableRawPointer
    private let mask: UInt32
    /// Given back since the kernel was last shown what was.
    public private(set) var unpublished: UInt32 = 0

    /// Registers the group, before the ring is enabled or on the ring's thread. The kernel refuses when the locked
    /// memory that is allowed to the user is used up.
    /// - Parameter count: a power of two, at most 32768.
    public init(_ owner: borrowing Ring, group: UInt16, count: Int, bufferBytes: Int) throws(RingFailure) {
        precondition(count > 0 && count & (count - 1) == 0 && count <= 32_768)
        var error: Int32 = 0
        guard let ring = unsafe ck_buffers_register(owner.ring, group, UInt32(count), &error) else {
            throw RingFailure(.register, error)
        }
        self.group = group
        self.count = count
        self.bufferBytes = bufferBytes
        unsafe self.ring = ring
        // Scanners read up to 64 bytes beyond what they are given.
        unsafe self.memory = Region(byteCount: count * bufferBytes + 64).base
        self.mask = UInt32(count - 1)
        for index in 0..<count { giveBack(Int32(index)) }
        publish()
    }

    /// The bytes of a buffer that a completion named.
    @_noLocks
    public borrowing func bytes(_ buffer: Int32, count bytesReceived: Int32) -> UnsafeRawBufferPointer {
        precondition(buffer >= 0 && Int(buffer) < count && bytesReceived >= 0 && Int(bytesReceived) <= bufferBytes)
        let start = unsafe memory + Int(buffer) * bufferBytes
        return unsafe UnsafeRawBufferPointer(start: start, count: Int(bytesReceived))
    }

    /// The kernel may fill this buffer again, once it is published.
    @_noLocks
    public mutating func giveBack(_ buffer: Int32) {
        precondition(buffer >= 0 && Int(buffer) < count)
        let start = unsafe memory + Int(buffer) * bufferBytes
        let size = UInt32(truncatingIfNeeded: bufferBytes)
        unsafe ck_buffers_add(ring, start, size, UInt16(truncatingIfNeeded: buffer), mask, unpublished)
        unpublished += 1
    }

    /// Shows the kernel what was given back since the last time.
    @_noLocks
    public mutating func publish() {
        guard unpublished > 0 else { return }
        unsafe ck_buffers_publish(ring, unpublished)
        unpublished = 0
    }
}
