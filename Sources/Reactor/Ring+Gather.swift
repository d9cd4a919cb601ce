internal import CKernel
public import Memory

/// Memory for the vectors of the sends of one turn. The kernel copies them at submission, so each turn begins anew.
@safe
public struct GatherSpace: ~Copyable {
    /// Blocks that one send may gather: 256 KiB.
    public static var blocksPerSend: Int { 64 }

    private let vectors: UnsafeMutablePointer<iovec>
    private let messages: UnsafeMutablePointer<msghdr>
    private let sends: Int
    private var used = 0

    /// - Parameter sends: how many sends of a turn can gather; beyond it a send takes one block only.
    public init(sends: Int) {
        self.sends = sends
        // Not as arrays of a region: the optimizer of other targets does not find that C's records are plain (6.3.1).
        let count = sends * Self.blocksPerSend
        let memory = unsafe (
            Region(byteCount: count * MemoryLayout<iovec>.stride).base,
            Region(byteCount: sends * MemoryLayout<msghdr>.stride).base
        )
        unsafe self.vectors = memory.0.bindMemory(to: iovec.self, capacity: count)
        unsafe self.messages = memory.1.bindMemory(to: msghdr.self, capacity: sends)
    }

    /// Memory for each send, in bytes.
    public static var bytesPerSend: Int {
        unsafe blocksPerSend * MemoryLayout<iovec>.stride + MemoryLayout<msghdr>.stride
    }

    /// What was queued has been submitted.
    @_noLocks
    public mutating func reset() { used = 0 }

    /// Describes the front of a chain; `used` has to move on if the description is to stay. Nil: all are taken.
    private func describe(_ chain: Chain, _ pool: borrowing BlockPool) -> UnsafePointer<msghdr>? {
        guard used < sends else { return nil }
        let first = unsafe vectors + used * Self.blocksPerSend
        var block = chain.head
        var count = 0
        while block >= 0, count < Self.blocksPerSend {
            let bytes = unsafe pool.bytes(of: block)
            // Read only, though the C type does not say so.
            let start = unsafe UnsafeMutableRawPointer(mutating: bytes.baseAddress)
            unsafe first[count] = iovec(iov_base: start, iov_len: bytes.count)
            count += 1
            block = pool.next(of: block)
        }
        unsafe messages[used].msg_iov = first
        unsafe messages[used].msg_iovlen = count
        return unsafe UnsafePointer(messages + used)
    }

    @_noLocks
    fileprivate mutating func message(_ chain: Chain, _ pool: borrowing BlockPool) -> UnsafePointer<msghdr>? {
        guard let message = unsafe describe(chain, pool) else { return nil }
        used += 1
        return unsafe message
    }

    /// Sends the front of a chain at once, as much as the kernel takes. Returns how much that was, or a negative error
    /// number; `KernelError.wouldBlock` too when the descriptions of this turn are used up.
    /// - Parameter hasMore: what is sent next belongs to it, so that a segment need not end here.
    @_noLocks
    public func sendNow(_ fd: Int32, _ chain: Chain, of pool: borrowing BlockPool, hasMore: Bool) -> Int {
        guard let message = unsafe describe(chain, pool) else { return Int(KernelError.wouldBlock) }
        return unsafe ck_send_message_now(fd, message, hasMore)
    }
}

extension Ring {
    /// Sends the front of a chain, as much as one operation takes. The chain's bytes must stay until the completion.
    @_noLocks
    public borrowing func send(
        _ fd: Int32,
        _ chain: Chain,
        of pool: borrowing BlockPool,
        gathering space: inout GatherSpace,
        _ token: Token
    ) {
        if pool.next(of: chain.head) >= 0, let message = unsafe space.message(chain, pool) {
            unsafe ck_send_message(ring, fd, message, token.rawValue)
        } else {
            unsafe send(fd, pool.front(of: chain), token)
        }
    }
}
