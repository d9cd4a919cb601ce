internal import CKernel

/// What a program owes whoever runs it before it does anything else, and before it has a second thread.
public enum ProcessStart {
    /// Standard streams that are closed become `/dev/null`, signals wait until they can be taken, and a crash will say
    /// which thread it was.
    public static func prepare() {
        ck_open_standard_descriptors()
        ck_keep_heap_whole()
        ck_prepare_signals()
        ck_use_crash_stack()
        ck_report_crashes()
    }
}
