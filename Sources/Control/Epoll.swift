internal import CKernel

/// What the control thread waits for.
enum EventSource: Equatable {
    case signals
    /// Reactors have news.
    case bell
    case controlSocket(index: Int)
    case registration(id: UInt64)
    /// Standard error takes more of the log.
    case log

    /// As epoll carries it: the kind in the highest byte.
    var rawValue: UInt64 {
        switch self {
        case .signals: 0
        case .bell: 1 << 56
        case .controlSocket(let index): 2 << 56 | UInt64(index)
        case .registration(let id): 3 << 56 | id
        case .log: 4 << 56
        }
    }

    init(rawValue: UInt64) {
        let number = rawValue & (1 << 56 - 1)
        switch rawValue >> 56 {
        case 0: self = .signals
        case 1: self = .bell
        case 2: self = .controlSocket(index: Int(number))
        case 3: self = .registration(id: number)
        default: self = .log
        }
    }
}

/// The descriptors that the control thread waits on, each until it has something to read.
@safe
struct Epoll: ~Copyable {
    struct Event {
        let source: EventSource
        /// The descriptor has failed, or both its directions have ended.
        let isBroken: Bool
    }

    private let descriptor: OwnedDescriptor
    /// Filled by the kernel.
    private var events = unsafe [epoll_event](repeating: epoll_event(), count: 256)

    /// - Throws: the error number if there is no descriptor for it.
    init() throws(KernelFailure) {
        descriptor = OwnedDescriptor(try checked(ck_epoll_create()))
    }

    /// Waits on a descriptor as well. It has to be removed before it is closed or given away.
    func add(_ fd: Int32, _ source: EventSource) throws(KernelFailure) {
        _ = try checked(ck_epoll_set(descriptor.fd, EPOLL_CTL_ADD, fd, EPOLLIN.rawValue, source.rawValue))
    }

    /// Waits until a descriptor takes bytes.
    /// - Returns: false if the kernel refuses.
    func addWriting(_ fd: Int32, _ source: EventSource) -> Bool {
        ck_epoll_set(descriptor.fd, EPOLL_CTL_ADD, fd, EPOLLOUT.rawValue, source.rawValue) == 0
    }

    /// Whether bytes to read end the wait. Failures always do.
    /// - Returns: false if the kernel refuses, for want of memory for example: it is as before then.
    func setReading(_ isReading: Bool, _ fd: Int32, _ source: EventSource) -> Bool {
        succeeds(ck_epoll_set(descriptor.fd, EPOLL_CTL_MOD, fd, isReading ? EPOLLIN.rawValue : 0, source.rawValue))
    }

    /// - Returns: false if the kernel refuses: the descriptor can only be closed then, which removes it as well.
    func remove(_ fd: Int32) -> Bool { succeeds(ck_epoll_set(descriptor.fd, EPOLL_CTL_DEL, fd, 0, 0)) }

    /// Only a fault of ours traps.
    private func succeeds(_ result: Int32) -> Bool {
        precondition(result != -ENOENT && result != -EBADF && result != -EINVAL, "the descriptor was added before")
        return result == 0
    }

    /// What has happened, at most so many milliseconds from now (negative: whenever).
    mutating func wait(milliseconds: Int32) -> [Event] {
        let count = unsafe ck_epoll_wait(descriptor.fd, &events, Int32(events.count), milliseconds)
        precondition(count >= 0 || count == -EINTR, "the descriptor is an epoll descriptor")
        let broken = EPOLLERR.rawValue | EPOLLHUP.rawValue
        return unsafe events.prefix(max(0, Int(count))).map { event in
            let source = unsafe EventSource(rawValue: event.data.u64)
            return Event(source: source, isBroken: unsafe event.events & broken != 0)
        }
    }
}

/// A system call that has failed.
struct KernelFailure: Error, Equatable {
    /// The error number, above 0.
    let number: Int32

    init(_ number: Int32) {
        self.number = abs(number)
    }
}

/// The result of a call that returns a negative error number when it fails.
func checked(_ result: Int32) throws(KernelFailure) -> Int32 {
    guard result >= 0 else { throw KernelFailure(result) }
    return result
}
