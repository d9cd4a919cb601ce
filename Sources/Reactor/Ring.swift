internal import CKernel
internal import Memory

/// The calls that a ring is made and driven by.
public enum RingCall: String, Equatable, Sendable {
    case setup = "io_uring_setup"
    case enter = "io_uring_enter"
    case register = "io_uring_register"
}

/// Why a ring could not be set up. Each case has a way out that the program tells its operator.
public enum RingFailure: Error, Equatable, Sendable {
    /// By the sysctl `kernel.io_uring_disabled`, a seccomp filter or a security module (EPERM, EACCES).
    case forbidden(RingCall, error: Int32)
    /// Not built into the kernel, or hidden by a seccomp filter (ENOSYS).
    case missing(RingCall)
    /// Older than Linux 6.1, or something that only looks like Linux.
    case kernelTooOld(RingCall)
    /// RLIMIT_MEMLOCK is too small, or there is no memory at all (ENOMEM).
    case lockedMemory
    case other(RingCall, error: Int32)

    /// - Parameter result: a negative error number.
    init(_ call: RingCall, _ result: Int32) {
        switch -result {
        case EPERM, EACCES: self = .forbidden(call, error: -result)
        case ENOSYS: self = .missing(call)
        case EOPNOTSUPP: self = .kernelTooOld(call)
        // Flags that 6.1 knows.
        case EINVAL: self = .kernelTooOld(call)
        case ENOMEM: self = .lockedMemory
        default: self = .other(call, error: -result)
        }
    }
}

/// How large a ring is.
public struct RingConfiguration: Sendable {
    /// Operations that can be queued in a turn before they are submitted early.
    public var entries: UInt32
    /// Completions that can wait: every provided buffer, and whatever else may be under way.
    public var completionEntries: UInt32

    public init(entries: UInt32, completionEntries: UInt32) {
        self.entries = entries
        self.completionEntries = completionEntries
    }

    /// So much memory the kernel locks for the ring and its provided buffers, or a little less. It counts operations
    /// and completions twice, and rounds both up to powers of two.
    public var lockedBytes: Int {
        func rounded(_ count: UInt32) -> Int { count < 2 ? 1 : 1 << (32 - (count - 1).leadingZeroBitCount) }
        return 2 * (68 * rounded(entries) + 16 * rounded(completionEntries) + 32_768)
    }
}

/// One thread's io_uring: operations are queued, handed over all at once when the turn ends, and reported as
/// completions. Only one send may be under way on a socket: a later one can overtake an earlier one that waits.
@safe
public struct Ring: ~Copyable {
    let ring: UnsafeMutablePointer<ck_ring>

    /// Sets the ring up, disabled, on any thread: failures show at start.
    public init(_ configuration: RingConfiguration) throws(RingFailure) {
        unsafe self.ring = try Self.setUp(configuration)
    }

    deinit { unsafe Self.tearDown(ring) }

    /// Apart from `init`, which would run the deinitializer when it fails and close descriptor 0 for a ring that never
    /// was.
    private static func setUp(_ configuration: RingConfiguration) throws(RingFailure) -> UnsafeMutablePointer<ck_ring> {
        let ring = UnsafeMutablePointer<ck_ring>.allocate(capacity: 1)
        let result = unsafe ck_ring_init(ring, configuration.entries, configuration.completionEntries)
        guard result == 0 else {
            unsafe ring.deallocate()
            throw RingFailure(.setup, result)
        }
        let operations = unsafe ck_ring_check_operations(ring)
        guard operations == 0 else {
            unsafe tearDown(ring)
            throw RingFailure(.register, operations)
        }
        return unsafe ring
    }

    private static func tearDown(_ ring: UnsafeMutablePointer<ck_ring>) {
        unsafe ck_ring_exit(ring)
        unsafe ring.deallocate()
    }

    /// Makes the calling thread the only one that submits. Once the ring has been enabled nothing else can fail.
    public borrowing func enable() throws(RingFailure) {
        let result = unsafe ck_ring_enable(ring)
        guard result == 0 else { throw RingFailure(.register, result) }
    }

    /// Sends an operation that does nothing there and back, on the thread that has enabled the ring: what forbids
    /// submitting shows at start, where it is an error, and not in a turn, where it would trap.
    public borrowing func tryOut() throws(RingFailure) {
        let result = unsafe ck_ring_try(ring)
        guard result == 0 else { throw RingFailure(.enter, result) }
    }

    /// The kernel's feature bits (`IORING_FEAT_*`).
    public var features: UInt32 { unsafe ring.pointee.features }

    /// Submits what is queued and waits for a completion, at most that long (negative: until there is one; 0: not).
    @_noLocks
    public borrowing func submitAndWait(milliseconds: Int64) {
        let wait: UInt32 = milliseconds == 0 ? 0 : 1
        let timeout = milliseconds < 0 ? -1 : milliseconds &* 1_000_000
        check(unsafe ck_submit_and_wait(ring, wait, timeout))
    }

    private borrowing func check(_ result: Int32) {
        // Everything else is a misuse of ours: a bad ring, bad flags, a wrong thread.
        precondition(
            result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN
                || result == -ENOMEM
        )
    }

    /// The same, but before it waits it looks for completions for so long, without giving the processor up.
    @_noLocks
    public borrowing func submitAndWait(milliseconds: Int64, pollingFirst microseconds: Int) {
        guard microseconds > 0, milliseconds != 0 else { return submitAndWait(milliseconds: milliseconds) }
        check(unsafe ck_submit_and_poll(ring, Int64(microseconds) &* 1_000))
        if completionCount() == 0 { submitAndWait(milliseconds: milliseconds) }
    }

    /// Whether the kernel has taken everything that was queued.
    @_noLocks
    public borrowing func isSubmitted() -> Bool { unsafe ck_sq_pending(ring) == 0 }

    /// Completions that can be taken.
    @_noLocks
    public borrowing func completionCount() -> Int { unsafe Int(ck_cq_ready(ring)) }

    /// The completion at that place behind the oldest; it stays until `advance`.
    @_noLocks
    public borrowing func completion(at offset: Int) -> Completion {
        let entry = unsafe ck_cqe_at(ring, UInt32(truncatingIfNeeded: offset))
        return Completion(token: Token(rawValue: entry.user_data), result: entry.res, flags: entry.flags)
    }

    /// Gives the places of that many completions back to the kernel.
    @_noLocks
    public borrowing func advance(_ count: Int) { unsafe ck_cq_advance(ring, UInt32(truncatingIfNeeded: count)) }

    /// Whether completions had to be kept outside the queue; its size is meant to make that impossible.
    @_noLocks
    public borrowing func hasOverflowed() -> Bool { unsafe ck_cq_overflowed(ring) }

    // MARK: operations

    /// Reports every connection that the listening socket gets, until canceled or failed.
    @_noLocks
    public borrowing func accept(_ fd: Int32, _ token: Token) {
        unsafe ck_accept_multishot(ring, fd, token.rawValue)
    }

    /// Receives into buffers of the group, until it is canceled or ends.
    @_noLocks
    public borrowing func receiveRepeatedly(_ fd: Int32, group: UInt16, _ token: Token) {
        unsafe ck_receive(ring, fd, group, 0, true, token.rawValue)
    }

    /// Receives once into a buffer of the group.
    /// - Parameter count: bytes at most; 0: what the buffer holds.
    @_noLocks
    public borrowing func receive(_ fd: Int32, group: UInt16, atMost count: Int = 0, _ token: Token) {
        unsafe ck_receive(ring, fd, group, UInt32(truncatingIfNeeded: count), false, token.rawValue)
    }

    /// Reports once that there are bytes, or that the peer has finished or gone; at once if that is so already.
    @_noLocks
    public borrowing func pollForBytes(_ fd: Int32, _ token: Token) {
        unsafe ck_poll(ring, fd, UInt32(POLLIN), token.rawValue)
    }

    /// Sends from memory that must stay until the completion.
    @_noLocks
    public borrowing func send(_ fd: Int32, _ bytes: UnsafeRawBufferPointer, _ token: Token) {
        unsafe ck_send(ring, fd, bytes.baseAddress, UInt32(truncatingIfNeeded: bytes.count), token.rawValue)
    }

    /// Cancels the operation with that token. Its last completion still comes; so does one of `token`.
    @_noLocks
    public borrowing func cancel(_ target: Token, _ token: Token) {
        unsafe ck_cancel(ring, target.rawValue, token.rawValue)
    }

    /// Reports the peer's end, its reset and errors, without reading (`POLLRDHUP`, `POLLHUP`, `POLLERR`), until
    /// canceled. Each is reported when it comes, not for as long as it holds: a single poll could not be armed again
    /// after a FIN, because io_uring always looks for that and would answer at once.
    @_noLocks
    public borrowing func pollForHangUp(_ fd: Int32, _ token: Token) {
        unsafe ck_poll_multishot(ring, fd, UInt32(POLLRDHUP), token.rawValue)
    }

    /// Reads from the descriptor into memory that must stay until the completion.
    @_noLocks
    public borrowing func read(_ fd: Int32, _ bytes: UnsafeMutableRawBufferPointer, _ token: Token) {
        unsafe ck_read(ring, fd, bytes.baseAddress, UInt32(truncatingIfNeeded: bytes.count), token.rawValue)
    }

    /// Closes the descriptor; no completion comes.
    @_noLocks
    public borrowing func close(_ fd: Int32, _ token: Token) {
        unsafe ck_close(ring, fd, token.rawValue)
    }
}
