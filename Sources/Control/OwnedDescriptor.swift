internal import CKernel

/// A descriptor that is closed when nobody holds it any more, unless it has been given away.
///
/// A class and not a type that cannot be copied: these lie in dictionaries.
final class OwnedDescriptor {
    private(set) var fd: Int32

    /// - Parameter fd: an open descriptor, the caller's until now.
    init(_ fd: Int32) {
        precondition(fd >= 0)
        self.fd = fd
    }

    /// The descriptor is somebody else's from now on.
    func giveAway() -> Int32 {
        defer { fd = -1 }
        return fd
    }

    deinit {
        if fd >= 0 { _ = ck_close_now(fd) }
    }
}
