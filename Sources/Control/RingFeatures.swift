internal import CKernel
internal import Reactor

/// What the kernel's io_uring can do beyond what is required.
struct RingFeatures: CustomStringConvertible {
    let rawValue: UInt32

    /// Makes a small ring to find out, and takes it down again.
    /// - Throws: a sentence for the operator if there can be none.
    static func probed() throws(StartFailure) -> RingFeatures {
        do {
            let ring = try Ring(RingConfiguration(entries: 8, completionEntries: 16))
            return RingFeatures(rawValue: ring.features)
        } catch {
            throw StartFailure(error, reactors: 1)
        }
    }

    var description: String {
        let required = "io_uring with deferred task work, multishot operations and provided buffers"
        let waiting = rawValue & CK_FEATURE_NO_IOWAIT != 0 ? "" : "; idle reactors are shown as waiting for a disk"
        return "\(required), features 0x\(String(rawValue, radix: 16))\(waiting)"
    }
}

extension StartFailure {
    /// Why there are no rings, and what the operator can do about it.
    init(_ failure: RingFailure, reactors: Int) {
        switch failure {
        case .forbidden: self.init(.unavailable, Self.forbidden)
        case .missing:
            self.init(
                .unavailable,
                "This kernel (\(KernelText.release)) has no io_uring, or a seccomp filter hides it; use Linux 6.1 or "
                    + "newer, and allow io_uring_setup, io_uring_enter and io_uring_register where containers run.")
        case .kernelTooOld:
            self.init(
                .unavailable, "socketmaster needs Linux 6.1 or newer, this is \(KernelText.release); update the kernel."
            )
        case .lockedMemory:
            let limit = ByteCount(bytes: Int(clamping: ck_locked_memory_limit()))
            self.init(
                .system,
                "The limit on locked memory, \(limit.rounded), is too small for the rings of "
                    + "\(counted(reactors, "reactor")); raise it (ulimit -l, LimitMEMLOCK=) or lower --reactors "
                    + "or --ring-entries.")
        case .other(let error):
            self.init(
                .system,
                "The kernel gives no ring for \(counted(reactors, "reactor")): \(KernelText.error(error)); "
                    + "try fewer --reactors.")
        }
    }

    /// The sysctl says so itself; a filter of system calls does not.
    private static var forbidden: String {
        switch KernelText.number(inFile: "/proc/sys/kernel/io_uring_disabled") {
        case .some(2...):
            "io_uring is switched off on this machine; set the sysctl kernel.io_uring_disabled to 0."
        case 1:
            "io_uring is for privileged processes only on this machine; set the sysctl kernel.io_uring_disabled to 0, "
                + "or run socketmaster in the group that kernel.io_uring_group names."
        default:
            "io_uring is forbidden, most likely by a seccomp filter of the container; allow io_uring_setup, "
                + "io_uring_enter and io_uring_register (docker run --security-opt seccomp=PROFILE)."
        }
    }
}
