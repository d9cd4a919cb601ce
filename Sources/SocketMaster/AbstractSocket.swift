import Glibc
package import NIOCore
package import NIOPosix

extension ClientBootstrap {
    /// Connects to a unix socket, by its path, or by a name of the abstract namespace if it begins with `@` (unix(7)).
    ///
    /// SwiftNIO tells the kernel that every address is as long as one can be, and the zeros at the end of an abstract
    /// name are part of it: so such a socket is connected here. That does not wait; a full queue is a failure.
    package func connect(toUnixSocket path: String) -> EventLoopFuture<any Channel> {
        guard path.hasPrefix("@") else { return connect(unixDomainSocketPath: path) }
        do {
            return withConnectedSocket(try connectedAbstractSocket(path.dropFirst()))
        } catch {
            // The bootstrap's loop is not told; whoever connects is on it, or on none.
            let loop = MultiThreadedEventLoopGroup.currentEventLoop ?? MultiThreadedEventLoopGroup.singleton.any()
            return loop.makeFailedFuture(error)
        }
    }
}

private func connectedAbstractSocket(_ name: Substring) throws(IOError) -> CInt {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    let fd = socket(AF_UNIX, type, 0)
    guard fd >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) else { preconditionFailure("it has a path") }
    let size = start + 1 + name.utf8.count
    guard size <= MemoryLayout<sockaddr_un>.size else {
        close(fd)
        throw IOError(errnoCode: ENAMETOOLONG, reason: "connect")
    }
    let result = unsafe withUnsafeMutableBytes(of: &address) { bytes in
        // The zero in front makes it abstract, and is there already.
        unsafe bytes.baseAddress?.advanced(by: start + 1).copyMemory(from: Array(name.utf8), byteCount: name.utf8.count)
        return unsafe Glibc.connect(fd, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(size))
    }
    guard result == 0 else {
        let failure = IOError(errnoCode: errno, reason: "connect")
        close(fd)
        throw failure
    }
    return fd
}
