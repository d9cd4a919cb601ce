internal import CKernel
internal import Proxy
internal import Reactor

/// What the kernel's io_uring can do beyond what is required.
struct RingFeatures: CustomStringConvertible {
    let rawValue: UInt32

    /// Makes a small ring, sends something there and back as a reactor does, and takes the ring down again: whether a
    /// call of io_uring is forbidden is known then.
    /// - Throws: a sentence for the operator if there can be none.
    static func probed(for limits: DataPlaneLimits) throws(StartFailure) -> RingFeatures {
        do {
            let ring = try Ring(RingConfiguration(entries: 8, completionEntries: 16))
            try ring.enable()
            _ = try ReceiveBuffers(ring, group: 0, count: 8, bufferBytes: 64)
            try ring.tryOut()
            return RingFeatures(rawValue: ring.features)
        } catch {
            throw StartFailure(error, limits)
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
    init(_ failure: RingFailure, _ limits: DataPlaneLimits) {
        let reactors = limits.reactors
        switch failure {
        case .forbidden(let call, let error): self.init(.unavailable, Self.forbidden(call, error))
        case .missing(let call):
            self.init(
                .unavailable,
                "This kernel (\(KernelText.release)) has no \(call.rawValue), or a seccomp filter hides it; "
                    + "use Linux 6.1 or newer, and \(Self.allowance).")
        case .kernelTooOld(let call): self.init(.unavailable, Self.tooOld(call))
        case .lockedMemory: self.init(.system, Self.noMemory(limits))
        case .other(let call, let error):
            self.init(
                .system,
                "There is no ring for \(counted(reactors, "reactor")), \(call.rawValue) failed: "
                    + "\(KernelText.error(error)); try fewer --reactors, and \(Self.allowance).")
        }
    }

    private static let allowance =
        "allow io_uring_setup, io_uring_enter and io_uring_register in the seccomp profile of the container "
        + "(docker run --security-opt seccomp=PROFILE) or in SystemCallFilter= of the unit"

    private static func noMemory(_ limits: DataPlaneLimits) -> String {
        let what = "the rings of \(counted(limits.reactors, "reactor"))"
        let limit = ck_locked_memory_limit()
        guard limit != .max else {
            return "The kernel has no memory for \(what); free some, or lower --reactors or --ring-entries."
        }
        let size = ByteCount(bytes: Int(clamping: limit)).rounded
        let remedy = "raise it (ulimit -l, LimitMEMLOCK=) or lower --reactors or --ring-entries"
        let need = limits.reactors * limits.ringConfiguration.lockedBytes
        return "The limit on locked memory, \(size), is too small for \(what), which lock up to "
            + "\((need + 1023) / 1024) KiB, or there is no memory left; \(remedy)."
    }

    /// The sysctl says so itself; a filter of system calls does not.
    private static func forbidden(_ call: RingCall, _ error: Int32) -> String {
        switch KernelText.number(inFile: "/proc/sys/kernel/io_uring_disabled") {
        case .some(2...) where call == .setup:
            "io_uring is switched off on this machine; set the sysctl kernel.io_uring_disabled to 0."
        case 1 where call == .setup:
            "io_uring is for privileged processes only on this machine; set the sysctl kernel.io_uring_disabled to 0, "
                + "or run socketmaster in the group that kernel.io_uring_group names."
        default:
            "\(call.rawValue) is forbidden (\(KernelText.error(error))), most likely by a seccomp filter, "
                + "or by SELinux; \(allowance)."
        }
    }

    /// Something between may answer for the kernel, whose version is only a name then.
    private static func tooOld(_ call: RingCall) -> String {
        guard KernelText.isAtLeast(6, 1) else {
            return "socketmaster needs Linux 6.1 or newer, this is \(KernelText.release); update the kernel."
        }
        let kernel = "This kernel (\(KernelText.release)) is new enough"
        let answer = "\(call.rawValue) does not take what Linux 6.1 takes"
        let cause = "as in a sandbox (gVisor) or behind a seccomp filter"
        return "\(kernel), but \(answer), \(cause); run socketmaster without the sandbox, and \(allowance)."
    }

    /// A system call that everything needs.
    init(refusedCall name: String, error: Int32) {
        self.init(
            .system,
            "The system call \(name) is forbidden (\(KernelText.error(error))), most likely by a seccomp filter; "
                + "allow it in the profile of the container (docker run --security-opt seccomp=PROFILE) "
                + "or in SystemCallFilter= of the unit.")
    }
}
