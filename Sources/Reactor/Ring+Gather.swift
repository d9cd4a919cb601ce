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
        unsafe self.vectors = .allocate(capacity: sends * Self.blocksPerSend)
        unsafe self.messages = .allocate(capacity: sends)
        for index in 0..<sends { unsafe (messages + index).initialize(to: msghdr()) }
    }

    deinit {
        unsafe vectors.deallocate()
        unsafe messages.deallocate()
    }

    /// What was queued has been submitted.
    @_noLocks
    public mutating func reset() { used = 0 }

    @_noLocks
    fileprivate mutating func message(_ chain: Chain, _ pool: borrowing BlockPool) -> UnsafePointer<msghdr>? {
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
        used += 1
        return unsafe UnsafePointer(messages + used - 1)
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
