internal import CKernel

/// The lock beside the file of a unix socket. Of all that start there whoever holds it may look whether the socket's
/// file is a dead one's, remove it and bind its own; without it two that look at once both take the path.
///
/// The kernel gives a lock up when its process ends, however that happens. The file `PATH.lock` stays: who removes it
/// must be sure that nobody has just opened it, or two lock two files of one name. It is looked for that as well, since
/// somebody may tidy up.
struct ControlLock {
    private let descriptor: OwnedDescriptor

    /// - Throws: a sentence for the operator.
    init(path: String, for address: ControlAddress) throws(StartFailure) {
        let file = path + ".lock"
        let fd = unsafe file.withCString { unsafe ck_lock_file($0) }
        guard fd >= 0 else { throw Self.failure(file, address, -fd) }
        descriptor = OwnedDescriptor(fd)
    }

    private static func failure(_ file: String, _ address: ControlAddress, _ number: Int32) -> StartFailure {
        let cannot = "cannot listen on \(address): "
        switch number {
        case EAGAIN:
            return StartFailure(
                .temporary,
                cannot + "another socketmaster is running and holds the lock \(file); stop it or choose another --bind."
            )
        case EEXIST, ELOOP, EISDIR, ENXIO, ENODEV:
            return StartFailure(
                .cannotCreate, cannot + "the lock file \(file) is not a regular file; remove it.")
        case ENOENT:
            return StartFailure(.cannotCreate, cannot + "its folder does not exist; make it, or choose another path.")
        case EACCES, EPERM, EROFS:
            return StartFailure(
                .noPermission,
                cannot + "\(file) cannot be opened to lock it: \(KernelText.error(number)); "
                    + "choose a folder that may be written to, or remove that file.")
        case ENAMETOOLONG:
            return StartFailure(.cannotCreate, cannot + "the name of \(file) is too long; choose a shorter one.")
        default:
            return StartFailure(
                .system,
                cannot + "\(file) cannot be locked: \(KernelText.error(number)); choose a path on a local disk.")
        }
    }
}
