internal import CKernel
internal import Memory
internal import Proxy

/// What a set of flags may use of this machine: for `--print-limits`, so that an operator sees it before the first
/// client comes.
struct LimitsText {
    private let limits: DataPlaneLimits
    private let budget: DescriptorBudget
    private let surroundings: Surroundings

    init(_ limits: DataPlaneLimits, _ budget: DescriptorBudget, _ surroundings: Surroundings) {
        self.limits = limits
        self.budget = budget
        self.surroundings = surroundings
    }

    /// A line for each sum and each part of it, the amounts below each other.
    var text: String {
        let lines = descriptors + [("", "")] + memory + [("", "")] + machine
        let width = lines.lazy.filter { !$0.amount.isEmpty }.map { $0.what.count }.max() ?? 0
        return lines.map { what, amount in
            amount.isEmpty ? what : what + String(repeating: " ", count: width - what.count + 2) + amount
        }.joined(separator: "\n")
    }

    private typealias Line = (what: String, amount: String)

    private var descriptors: [Line] {
        let each = budget.reactors + 1
        let pipes = budget.pipes * budget.reactors
        return [
            ("descriptors", "\(budget.sum) of the \(budget.limit) that are allowed"),
            ("  clients (--max-connections)", "\(budget.connections)"),
            ("  sessions (--max-sessions)", "\(budget.sessions)"),
            ("  registrations under way (--max-pending)", "\(budget.pending)"),
            ("  \(counted(budget.listeners, "listener")), \(each) each", "\(budget.listeners * each)"),
            ("  \(counted(pipes, "pipe")) (--pipes), 2 each", "\(2 * pipes)"),
            ("  others", "\(budget.fixed)"),
        ]
    }

    private var memory: [Line] {
        let reactors = limits.reactors
        return [
            ("memory at most", size(limits.memoryOfProcess)),
            ("  bytes that wait (--buffer-limit and a quarter)", size(limits.waitingBytes)),
            ("  receive buffers", size(limits.receiveBytes)),
            record("clients", reactors * limits.connections, DataPlaneLimits.clientBytes),
            record("streams", reactors * limits.streamsPerReactor, DataPlaneLimits.streamBytes),
            record("sessions", reactors * limits.sessions, DataPlaneLimits.sessionBytes),
            record("routes (--metrics-routes)", reactors * limits.routeFigures, DataPlaneLimits.routeBytes),
            ("  registrations under way", size(PendingTable.byteLimit)),
            ("more in the kernel if all pipes are full (--pipes, --pipe-size)", size(limits.pipedBytes)),
            ("more if all clients come by TLS", size(limits.tlsMemoryBound)),
            ("  connections", size(limits.settledTLSBytes)),
            ("  handshakes at once (--tls-handshakes), \(limits.handshakesAtOnce)", size(limits.handshakeTLSBytes)),
            ("address space reserved at start", size(AddressSpace.needed(limits))),
        ]
    }

    private var machine: [Line] {
        var lines = [
            ("reactors (--reactors)", "\(limits.reactors)"),
            ("this machine has", surroundings.memory.map(size) ?? "an amount that it does not tell"),
        ]
        if let limit = surroundings.memoryLimit {
            lines.append(("  of it the cgroup allows (\(limit.file))", size(limit.bytes)))
        }
        if let limit = surroundings.processorLimit {
            let all = counted(surroundings.processors, "processor")
            lines.append(("  of \(all) the cgroup allows (\(limit.file))", "\(limit)"))
        }
        if let warning = surroundings.warning(limits) { lines.append(("warning: " + warning, "")) }
        return lines
    }

    /// Slots that have been used once on a reactor stay there, so that they count on each.
    private func record(_ name: String, _ count: Int, _ bytes: Int) -> Line {
        ("  records of \(name), \(count) of \(bytes) bytes", size(count * bytes))
    }

    private func size(_ bytes: Int) -> String { ByteCount(bytes: bytes).rounded }
}

extension DataPlaneLimits {
    /// What the data plane and registrations under way may take together, in bytes, without BoringSSL's.
    var memoryOfProcess: Int { memoryBound + PendingTable.byteLimit }
}

extension Settings {
    /// What these settings may use, as text of several lines; nothing is started.
    /// - Throws: a sentence if they ask for more descriptors than there are.
    public func limitsText() throws(StartFailure) -> String {
        let surroundings = Surroundings.current
        let settings = fitted(to: surroundings)
        let budget = try DescriptorBudget(
            limit: Int(clamping: ck_raise_descriptor_limit()), settings: settings, reactors: settings.reactors ?? 1)
        return LimitsText(settings.dataPlaneLimits(budget, now: 0), budget, surroundings).text
    }
}
