internal import Control
internal import Glibc

extension Program {
    /// Ends the process at once: after a second signal reactors still run, and nothing may be taken down under them.
    static func leave(_ exitCode: Int32) -> Never {
        _exit(exitCode)
    }

    /// Tells why the program ends, in one line.
    static func fail(_ sentence: String, _ exitCode: ExitCode) -> Never {
        StandardError.write("socketmaster: \(sentence)")
        leave(exitCode.rawValue)
    }
}
