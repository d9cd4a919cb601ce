internal import Glibc

/// The program that is started and published.
struct Command {
    let pid: pid_t

    /// Starts it with our descriptors, in our group of processes.
    static func start(_ arguments: [String]) throws(Failure) -> Command {
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // It does not inherit what is blocked and ignored here.
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        var defaults = sigset_t()
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        // The copies live until the call has returned, and the array ends with nothing, as it has to.
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let result = unsafe posix_spawnp(&pid, arguments[0], nil, &attributes, &pointers, environ)
        guard result == 0 else {
            // As shells have it.
            throw Failure(result == ENOENT ? 127 : 126, "\(arguments[0]) cannot be started: \(reason(result)).")
        }
        return Command(pid: pid)
    }

    func send(_ signal: Int32) { kill(pid, signal) }

    /// Its exit code as a shell has it, if it has ended. Once.
    func exitCode() -> Int32? {
        var status: Int32 = 0
        guard unsafe waitpid(pid, &status, WNOHANG) == pid else { return nil }
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }
}
