internal import CKernel
internal import Proxy
internal import Routing

/// What this machine and the control groups of the process give it.
struct Surroundings {
    let cgroup: CgroupLimits
    /// That the process may run on.
    let processors: Int
    let memory: Int?

    static var current: Surroundings {
        let root = KernelText.environment("SOCKETMASTER_CGROUP_ROOT") ?? ""
        return Surroundings(
            cgroup: .read(root: root), processors: KernelText.processors.count, memory: KernelText.physicalMemory)
    }

    /// A limit beyond what the machine has limits nothing.
    var memoryLimit: CgroupLimits.Memory? {
        guard let limit = cgroup.memory, limit.bytes < memory ?? .max else { return nil }
        return limit
    }

    var processorLimit: CgroupLimits.Processors? {
        guard let limit = cgroup.processors, limit.count < Double(processors) else { return nil }
        return limit
    }

    /// One that could not run all the time would only be in the way of the others.
    var reactors: Int {
        let most = max(1, min(processors, SessionHandle.reactorLimit - 1))
        guard let limit = processorLimit else { return most }
        return max(1, min(most, Int(limit.count.rounded(.up))))
    }

    /// The sentence for bounds that are above what there is.
    func warning(_ limits: DataPlaneLimits) -> String? {
        let bound = limits.memoryOfProcess + limits.tlsMemoryBound
        if let limit = memoryLimit, bound > limit.bytes {
            let allowed = ByteCount(bytes: limit.bytes).rounded
            let threat = limit.file == "memory.high" ? "slow socketmaster down" : "kill socketmaster"
            let remedy = "lower --buffer-limit or --max-connections, or raise \(limit.file)"
            return "the cgroup allows \(allowed) of memory (\(limit.file)), less than that: "
                + "the kernel would \(threat); \(remedy)"
        }
        guard let memory, bound > memory else { return nil }
        let machine = ByteCount(bytes: memory).rounded
        return "this machine has \(machine) of memory, less than that; lower --buffer-limit or --max-connections"
    }
}

extension Settings {
    /// The settings with what no flag has said, as far as that depends on where the process runs. A limit on memory is
    /// divided: a quarter (and a quarter of that) for bytes that wait, a quarter for clients and what BoringSSL needs
    /// for them, an eighth for handshakes; the rest is for what has a size of its own.
    func fitted(to surroundings: Surroundings) -> Settings {
        var settings = self
        settings.reactors = reactors ?? surroundings.reactors
        guard let limit = surroundings.memoryLimit?.bytes else { return settings }
        let defaults = DataPlaneLimits()
        let megabytes = max(1, min(defaults.bufferBytes, limit / 4) >> 20)
        settings.bufferLimit = bufferLimit ?? ByteCount(bytes: megabytes << 20)
        let reactors = settings.reactors ?? 1
        settings.mostConnections = max(
            64, min(Self.connectionCeiling, limit / 4 / DataPlaneLimits.bytesOfClient(reactors: reactors)))
        settings.tlsHandshakes =
            tlsHandshakes ?? max(16, min(defaults.handshakes, limit / 8 / DataPlaneLimits.bytesOfHandshake))
        return settings
    }
}
