/// What the program ends with, as sysexits(3) has it.
public enum ExitCode: Int32, Sendable {
    case success = 0
    /// EX_USAGE: a flag is unknown or its value cannot be used.
    case usage = 64
    /// EX_UNAVAILABLE: io_uring is missing, forbidden or too old.
    case unavailable = 69
    /// EX_SOFTWARE: a reactor did not stop when it was told to, which is a fault of ours.
    case software = 70
    /// EX_OSERR: the system refused something for a reason of its own, too little locked memory for example.
    case system = 71
    /// EX_CANTCREAT: the file of a unix socket cannot be made.
    case cannotCreate = 73
    /// EX_TEMPFAIL: the control address is taken; it works as soon as its owner has gone.
    case temporary = 75
    /// EX_NOPERM: a permission is missing.
    case noPermission = 77
    /// EX_CONFIG: the flags do not fit this machine.
    case configuration = 78

    /// For an end forced by a second signal: what a shell reports for a process that the signal has killed.
    static func forced(by signal: Int32) -> Int32 { 128 + signal }
}

/// Why the program cannot start: one sentence that names the cause and the way out.
public struct StartFailure: Error, CustomStringConvertible {
    public let exitCode: ExitCode
    public let description: String

    public init(_ exitCode: ExitCode, _ description: String) {
        self.exitCode = exitCode
        self.description = description
    }
}
