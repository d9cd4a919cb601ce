internal import CKernel
internal import Glibc

/// Listening sockets that the service manager has opened and passes to the process it starts (sd_listen_fds(3)).
/// Services can dial them before the start and after the end; they wait then, instead of being refused.
enum PassedSockets {
    /// The first one's descriptor, by the protocol.
    private static let first: Int32 = 3
    private static let most = 64
    private static let (receiver, count, names) = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

    /// All of them, the caller's from now on: nobody finds them in the environment afterwards. Before there are other
    /// threads, which may look at the environment.
    /// - Throws: a sentence if one of them cannot be used.
    static func take() throws(StartFailure) -> [OwnedDescriptor] {
        let isForUs = KernelText.environment(receiver).flatMap { Int32($0) } == getpid()
        let passed = isForUs ? KernelText.environment(count) : nil
        defer { for name in [receiver, count, names] { KernelText.forget(name) } }
        guard let passed else { return [] }
        guard let number = Int32(passed), (0...Int32(most)).contains(number) else {
            throw StartFailure(
                .configuration,
                "LISTEN_FDS=\(logText(passed)) is no number of passed sockets up to \(most); look at the .socket unit.")
        }
        var sockets: [OwnedDescriptor] = []
        for fd in first..<first + number { sockets.append(try adopt(fd)) }
        return sockets
    }

    private static func adopt(_ fd: Int32) throws(StartFailure) -> OwnedDescriptor {
        let result = ck_adopt_listening(fd)
        guard result < 0 else { return OwnedDescriptor(fd) }
        let cause = result == -EINVAL ? "it is not a stream socket that listens" : KernelText.error(result)
        throw StartFailure(
            .configuration,
            "descriptor \(fd), passed by LISTEN_FDS, cannot be a control address: \(cause); give ListenStream= and "
                + "Accept=no in the .socket unit.")
    }
}
