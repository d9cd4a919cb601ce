internal import CKernel

/// One result that the kernel reports.
@frozen
public struct Completion: BitwiseCopyable {
    public let token: Token
    /// Bytes, a descriptor or poll events; negative: an error number.
    public let result: Int32
    @usableFromInline let flags: UInt32

    @inlinable @_noLocks
    init(token: Token, result: Int32, flags: UInt32) {
        self.token = token
        self.result = result
        self.flags = flags
    }

    /// The operation stays armed (`IORING_CQE_F_MORE`). It must be looked at whatever the result: running out of
    /// buffers, the end of a stream and a full queue all end a multishot operation.
    @inlinable public var hasMore: Bool { @_noLocks get { flags & 2 != 0 } }
    /// The socket had more bytes when this was taken (`IORING_CQE_F_SOCK_NONEMPTY`).
    @inlinable public var socketHasMore: Bool { @_noLocks get { flags & 4 != 0 } }
    /// The provided buffer that the bytes lie in (`IORING_CQE_F_BUFFER`), or -1.
    @inlinable public var buffer: Int32 {
        @_noLocks get { flags & 1 != 0 ? Int32(truncatingIfNeeded: flags >> 16) : -1 }
    }
}

/// Error numbers that the data plane tells apart, as completions carry them.
public enum KernelError {
    public static var wouldBlock: Int32 { @_noLocks get { -EAGAIN } }
    public static var noBuffers: Int32 { @_noLocks get { -ENOBUFS } }
    public static var canceled: Int32 { @_noLocks get { -ECANCELED } }
    public static var interrupted: Int32 { @_noLocks get { -EINTR } }
    public static var connectionReset: Int32 { @_noLocks get { -ECONNRESET } }
    public static var brokenPipe: Int32 { @_noLocks get { -EPIPE } }
    public static var noEntry: Int32 { @_noLocks get { -ENOENT } }
    public static var connectionAborted: Int32 { @_noLocks get { -ECONNABORTED } }
    public static var protocolFailed: Int32 { @_noLocks get { -EPROTO } }
    public static var notPermitted: Int32 { @_noLocks get { -EPERM } }
    public static var networkDown: Int32 { @_noLocks get { -ENETDOWN } }
    public static var noProtocolOption: Int32 { @_noLocks get { -ENOPROTOOPT } }
    public static var hostDown: Int32 { @_noLocks get { -EHOSTDOWN } }
    public static var hostUnreachable: Int32 { @_noLocks get { -EHOSTUNREACH } }
    public static var networkUnreachable: Int32 { @_noLocks get { -ENETUNREACH } }
    public static var timedOut: Int32 { @_noLocks get { -ETIMEDOUT } }

    /// Whether the socket has ended by the error. It says so once: who receives from it next hears of an orderly end.
    @_noLocks
    public static func endsSocket(_ result: Int) -> Bool {
        switch Int32(truncatingIfNeeded: result) {
        case connectionReset, brokenPipe, timedOut, hostUnreachable, networkUnreachable: true
        default: false
        }
    }
}
