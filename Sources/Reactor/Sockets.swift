internal import CKernel

/// Calls on sockets and the clock that the data plane makes directly: each is too rare or too cheap for the ring.
public enum Sockets {
    /// No more bytes to the peer: FIN after what was sent.
    @_noLocks
    public static func finish(_ fd: Int32) { _ = ck_shutdown(fd, CInt(SHUT_WR)) }

    /// A listening socket takes nobody any more: whoever connects is refused, and who waits in its queue is reset.
    @_noLocks
    public static func stopListening(_ fd: Int32) { _ = ck_shutdown(fd, CInt(SHUT_RDWR)) }

    /// The next close tells the peer by a reset.
    @_noLocks
    public static func resetOnClose(_ fd: Int32) { _ = ck_reset_on_close(fd) }

    @_noLocks
    public static func close(_ fd: Int32) { _ = ck_close_now(fd) }

    /// Sends what the kernel takes at once. Returns how much that was, or a negative error number (`KernelError`).
    @_noLocks @discardableResult
    public static func sendNow(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        unsafe ck_send_now(fd, bytes.baseAddress, bytes.count)
    }

    /// Sends a peer's last bytes, with the FIN in one segment. If not all are taken now, there is no FIN yet.
    @_noLocks
    public static func sendLast(_ fd: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        unsafe ck_send_last(fd, bytes.baseAddress, bytes.count)
    }

    /// How many bytes the peer's kernel has not acknowledged, a FIN counted as one.
    @_noLocks
    public static func unacknowledged(_ fd: Int32) -> Int { Int(ck_unacknowledged(fd)) }

    /// How many bytes the peer's kernel has acknowledged since the connection began; 0 if it is none of TCP.
    @_noLocks
    public static func acknowledged(_ fd: Int32) -> UInt64 { ck_acknowledged(fd) }

    /// Whether the peer has sent bytes that nobody has received.
    @_noLocks
    public static func hasBytes(_ fd: Int32) -> Bool { ck_has_bytes(fd) }

    /// Whether the peer has finished, or the socket has an error. Whoever receives from it learns which.
    @_noLocks
    public static func hasEnded(_ fd: Int32) -> Bool { ck_has_ended(fd) }

    /// Receives what is there. Returns how much that was (0: the peer has finished), or a negative error number.
    @_noLocks
    public static func receiveNow(_ fd: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
        unsafe ck_receive_now(fd, bytes.baseAddress, bytes.count)
    }

    /// A connection that waits in the listener's queue, or a negative error number.
    @_noLocks
    public static func acceptNow(_ fd: Int32) -> Int32 { ck_accept_now(fd) }

    /// The peer's address: 4 or 6 with 16 bytes (IPv4 is mapped), 0 when it has none.
    @_noLocks
    public static func peerAddress(_ fd: Int32, to bytes: UnsafeMutablePointer<UInt8>) -> Int32 {
        unsafe ck_peer_address(fd, bytes)
    }

    /// The addresses of a connection's two ends: 4 or 6 with the peer's, ours (4 or 16 bytes each) and both ports, in
    /// network order, 0 when it has none. At most 36 bytes.
    @_noLocks
    public static func addresses(_ fd: Int32, to bytes: UnsafeMutablePointer<UInt8>) -> Int32 {
        unsafe ck_addresses(fd, bytes)
    }

    /// The monotonic clock.
    @_noLocks
    public static func nowMicroseconds() -> UInt64 { ck_now_microseconds() }

    /// The same in milliseconds.
    @_noLocks
    public static func nowMilliseconds() -> UInt64 { ck_now_microseconds() / 1_000 }

    /// The wall's clock, in milliseconds since 1970.
    @_noLocks
    public static func wallMilliseconds() -> UInt64 { ck_wall_milliseconds() }

    /// A millisecond, for a thread that may wait for another one.
    public static func pause() { ck_pause_milliseconds(1) }
}
