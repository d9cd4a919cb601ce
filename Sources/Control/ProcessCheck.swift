internal import CKernel

/// What has to hold before anything else is done: some memory to work in, a stack, randomness. Without them not even
/// the flags could be read, and the language's runtime would end the program by a signal.
public enum ProcessCheck {
    /// - Returns: with what the program has to end, if it cannot run; the sentence has been written then.
    public static func exitCode() -> Int32? {
        let code = ck_check_process()
        return code == 0 ? nil : code
    }
}
