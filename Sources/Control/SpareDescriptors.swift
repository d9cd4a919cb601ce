internal import CKernel

/// A few descriptors kept in reserve, so that services can still register when clients have taken all others.
struct SpareDescriptors: ~Copyable {
    static let count = 16

    private var held: [Int32] = []

    init() {
        refill()
    }

    deinit {
        for fd in held { _ = ck_close_now(fd) }
    }

    /// Gives one back to the process. False: there is none left.
    mutating func release() -> Bool {
        guard let fd = held.popLast() else { return false }
        _ = ck_close_now(fd)
        return true
    }

    /// Takes back what was released, as far as there are descriptors.
    mutating func refill() {
        while held.count < Self.count {
            let fd = ck_make_eventfd(false)
            guard fd >= 0 else { return }
            held.append(fd)
        }
    }
}
