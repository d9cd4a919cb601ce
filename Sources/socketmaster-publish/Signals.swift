internal import Glibc

/// Signals as values. They are blocked in all threads and taken by the one that waits for them, so that they arrive in
/// order and never in the middle of something.
enum Signals {
    /// Those that end the program, those that are only passed on, and the one that says that the command has ended.
    static let ending: [Int32] = [SIGTERM, SIGINT]
    /// Without a command to pass them on to, the first two of these end the program as well.
    static let passed: [Int32] = [SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT]
    private static var all: [Int32] { ending + passed + [SIGCHLD] }

    /// Before any other thread is there, because threads inherit it.
    static func block() {
        var set = allSet
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        // A proxy that goes away in the middle of a write is an error of that write.
        signal(SIGPIPE, SIG_IGN)
    }

    /// The next one.
    static func wait() -> Int32 {
        var set = allSet
        var number: Int32 = 0
        while unsafe sigwait(&set, &number) != 0 {}
        return number
    }

    private static var allSet: sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in all { unsafe sigaddset(&set, number) }
        return set
    }
}
