import Glibc
import NIOCore
import NIOPosix

/// Why there is no connection, as the system says it: a name may stand for many addresses, and the first will do.
func connectReason(_ error: any Error) -> String {
    switch error {
    case let error as NIOConnectionError:
        if let first = error.connectionErrors.first { return connectReason(first.error) }
        return error.dnsAError != nil || error.dnsAAAAError != nil ? "the host's name has no address" : "\(error)"
    case let error as IOError:
        // The C library's text is copied at once, on the one event loop of the attempt.
        return unsafe String(cString: strerror(error.errnoCode))
    case ChannelError.connectTimeout: return "it does not answer"
    default: return "\(error)"
    }
}
