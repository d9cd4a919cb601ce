internal import CKernel

/// The calling thread, as the system sees it.
public enum Threads {
    /// At most 15 bytes are kept.
    public static func name(_ name: String) {
        unsafe name.withCString { unsafe ck_name_thread($0) }
    }

    /// A write of this thread to a connection that is gone is an error of that write alone (SIGPIPE is blocked).
    public static func surviveBrokenConnections() { ck_block_pipe_signal() }

    /// A crash of this thread can be told of whatever has become of its stack.
    public static func tellOfCrashes() { ck_use_crash_stack() }

    /// Waits for a thread to end, at most so long. It must not be asked again about one that has.
    public static func hasEnded(_ thread: UInt, withinMilliseconds limit: Int) -> Bool {
        ck_join_thread(thread, CInt(limit)) == 0
    }

    /// Processor time that a thread has taken so far; 0 if the kernel does not tell. It must not have been joined.
    public static func processorMicroseconds(of thread: UInt) -> UInt64 { ck_thread_microseconds(thread) }

    /// Why threads may not be kept on processors, as an error number; 0: they may.
    public static var pinningRefusal: Int32 { -ck_may_pin() }

    /// Keeps the thread on one processor. False when it may not run there.
    @discardableResult
    public static func pin(to processor: Int) -> Bool { ck_pin_thread(CInt(processor)) == 0 }
}
