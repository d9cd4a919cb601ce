internal import Glibc
internal import Registration
internal import SocketMaster

/// Why the program ends: one sentence on standard error, and an exit code of sysexits.h.
struct Failure: Error {
    let exitCode: Int32
    let sentence: String

    init(_ exitCode: Int32, _ sentence: String) {
        self.exitCode = exitCode
        self.sentence = sentence
    }

    /// The sentence may quote what was given for a file or an address, and that may be a key itself.
    func exit() -> Never {
        let line = Array("socketmaster-publish: \(sentence.withoutKeys)\n".utf8)
        Log.flush()
        // Straight to the descriptor: the process ends here, whatever other threads do.
        _ = unsafe line.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
        _exit(exitCode)
    }
}
