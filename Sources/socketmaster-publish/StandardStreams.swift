internal import Glibc

/// Descriptors 0 to 2, on which libraries rely.
enum StandardStreams {
    /// Before anything else is opened: one that is closed becomes `/dev/null`. A connection that got its number would
    /// get the log. A log that may not grow (RLIMIT_FSIZE) is like a full disk.
    static func open() {
        signal(SIGXFSZ, SIG_IGN)
        for fd in STDIN_FILENO...STDERR_FILENO where fcntl(fd, F_GETFD) < 0 {
            // The lowest number that is free is this one.
            guard unsafe Glibc.open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) >= 0 else { return }
        }
    }
}
