/// The route that somebody waits for.
enum SoughtRoute: BitwiseCopyable {
    /// One that nobody has registered yet, or not again.
    case unknown
    /// By its lasting number.
    case known(UInt32)
}

/// How long an exchange has been waited for: touched only by those who have to wait, or whose exchange has come to
/// nothing, so that its pages cost all others nothing. It goes along to another reactor.
struct Patience: BitwiseCopyable {
    /// Since when it waits for a session, wherever it has waited; 0: it does not.
    var waitedSince: UInt64 = 0
    /// When it first had to wait, or its first attempt came to nothing: from then on it has one hold. 0: neither.
    var patienceSince: UInt64 = 0
    private var narrowWaitingBytes: Int32 = 0
    var route = SoughtRoute.unknown

    @_noLocks
    init() {}

    /// Bytes by which it counts among those that wait.
    var waitingBytes: Int {
        @_noLocks get { Int(narrowWaitingBytes) }
        @_noLocks set { narrowWaitingBytes = Int32(newValue) }
    }
}
