internal import Glibc

/// The program that is started and published.
struct Command {
    let pid: pid_t

    /// Starts it with our descriptors, and in a group of processes of its own: what a terminal sends to ours at ^C
    /// would end it while it is still needed.
    static func start(_ arguments: [String]) throws(Failure) -> Command {
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // It does not inherit what is blocked and ignored here, least of all a signal that is passed on to it.
        var set = sigset_t()
        unsafe sigemptyset(&set)
        unsafe posix_spawnattr_setsigmask(&attributes, &set)
        for signal in Signals.ending + Signals.passed + [SIGPIPE, SIGXFSZ] { unsafe sigaddset(&set, signal) }
        unsafe posix_spawnattr_setsigdefault(&attributes, &set)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        if isatty(STDIN_FILENO) == 1 {
            // In a group of its own it would be stopped as soon as it reads from the terminal.
            unsafe posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        }
        // The copies live until the call has returned, and the array ends with nothing, as it has to.
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let result = unsafe posix_spawnp(&pid, arguments[0], &actions, &attributes, &pointers, environ)
        guard result == 0 else {
            // As shells have it.
            throw Failure(result == ENOENT ? 127 : 126, "\(arguments[0]) cannot be started: \(reason(result)).")
        }
        return Command(pid: pid)
    }

    func send(_ signal: Int32) { _ = Glibc.kill(pid, signal) }

    /// Ends it and all that it has started, whatever they are doing.
    func kill() { _ = Glibc.kill(-pid, SIGKILL) }

    /// Its exit code as a shell has it, if it has ended. Once.
    func exitCode() -> Int32? {
        var status: Int32 = 0
        guard unsafe waitpid(pid, &status, WNOHANG) == pid else { return nil }
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }
}
