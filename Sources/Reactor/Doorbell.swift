internal import CKernel
internal import Memory

/// The error number that the kernel refuses a descriptor with: EMFILE, ENFILE, ENOMEM, or what a filter says.
public struct BellFailure: Error, Equatable, Sendable {
    public let error: Int32
}

/// Wakes a reactor that sleeps, and only then: the flag says whether it does.
///
/// The reactor raises the flag, looks once more whether there is work, and sleeps. Whoever has made work looks at the
/// flag afterwards. Both sides are sequentially consistent, so one of them sees the other.
public struct Doorbell: Sendable {
    public let fd: Int32
    private let sleeping: SharedWords

    /// - Throws: why the kernel gives no descriptor for it.
    public init() throws(BellFailure) {
        let fd = ck_make_eventfd(true)
        guard fd >= 0 else { throw BellFailure(error: -fd) }
        self.fd = fd
        self.sleeping = SharedWords(count: 1, isSpread: true)
    }

    /// Wakes the reactor if it sleeps. Any thread.
    @_noLocks
    public func ring() {
        if sleeping.load(0) != 0, sleeping.exchange(0, at: 0) != 0 { _ = ck_signal_eventfd(fd) }
    }

    /// The reactor is about to wait, and will look for work once more before it does.
    @_noLocks
    public func prepareSleep() { sleeping.store(1, at: 0) }

    /// The reactor is awake.
    @_noLocks
    public func awake() { sleeping.store(0, at: 0) }
}

/// Tells the control thread that a reactor has news for it. It sleeps in epoll, so the descriptor is written once
/// until it is taken.
public struct ControlBell: Sendable {
    public let fd: Int32
    private let pending: SharedWords

    /// - Throws: why the kernel gives no descriptor for it.
    public init() throws(BellFailure) {
        let fd = ck_make_eventfd(false)
        guard fd >= 0 else { throw BellFailure(error: -fd) }
        self.fd = fd
        self.pending = SharedWords(count: 1, isSpread: true)
    }

    /// Any reactor, after its news can be seen.
    @_noLocks
    public func ring() {
        if pending.exchange(1, at: 0) == 0 { _ = ck_signal_eventfd(fd) }
    }

    /// The control thread, before it looks for news.
    public func take() {
        _ = ck_take_eventfd(fd)
        pending.store(0, at: 0)
    }
}
