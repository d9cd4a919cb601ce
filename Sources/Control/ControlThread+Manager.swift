internal import Glibc
internal import Logging
internal import Memory
internal import Proxy
internal import Reactor

// What the service manager hears: that clients can be served, that every reactor goes on, how things are, and the end.
extension ControlThread {
    /// Tells it what there is to tell.
    func attendManager() {
        guard manager != nil else { return }
        if now >= unsaidAt, !unsaid.isEmpty { tellManager([]) }
        let due = managerNews.take(now: now, isNew: hasNewStatus, status: status, turns: turnsAtWork)
        hasPublished = false
        if due.ringsReactors { for peer in plane.peers { peer.doorbell.ring() } }
        if !due.assignments.isEmpty { tellManager(due.assignments) }
        due.silent.forEach(tellSilence)
    }

    /// The program ends, which may take as long as the drain.
    func tellManagerOfEnd() {
        let milliseconds = settings.drain.milliseconds + ManagerNews.endMilliseconds
        tellManager(["STOPPING=1", "EXTEND_TIMEOUT_USEC=\(milliseconds * 1_000)"])
    }

    /// What the kernel says when it would take a datagram at another time.
    private static let passing = [EAGAIN, ENOBUFS, ENOMEM, EMFILE, ENFILE]

    /// What does not get through now is said with the next news, or soon.
    private func tellManager(_ news: [String]) {
        guard let manager else { return }
        unsaid += news
        do {
            try manager.tell(unsaid)
            unsaid = []
        } catch {
            if Self.passing.contains(error.number) { return keepUnsaid() }
            let reason = KernelText.error(error.number)
            log.warning("the service manager hears nothing: \(manager) cannot be reached: \(reason)")
            self.manager = nil
        }
    }

    /// Of what is said more than once, the last time is enough.
    private func keepUnsaid() {
        var kept: [String] = []
        var names: Set<Substring> = []
        for assignment in unsaid.reversed() where names.insert(assignment.prefix { $0 != "=" }).inserted {
            kept.append(assignment)
        }
        unsaid = kept.reversed()
        unsaidAt = now + ManagerNews.retryMilliseconds
    }

    /// When it is to be attended next.
    var managerDueAt: UInt64 {
        guard manager != nil else { return .max }
        return min(managerNews.dueAt, unsaid.isEmpty ? .max : unsaidAt)
    }

    private var turnsAtWork: [Int: UInt64] {
        let atWork = plane.peers.indices.filter { plane.peers[$0].finished.load(0) == 0 }
        return Dictionary(
            uniqueKeysWithValues: atWork.map { ($0, plane.peers[$0].counters.loadRelaxed(Counter.turns.rawValue)) })
    }

    /// Whether how things are may have changed in this round. While it drains, that is not looked at any closer.
    private var hasNewStatus: Bool {
        if case .draining = phase { return true }
        return hasPublished
    }

    /// How things are, in a line.
    private var status: String {
        if case .draining = phase {
            let connections = Int(plane.totals.load(Plane.Total.connections.rawValue))
            return "stopping: \(counted(connections, "connection")) left"
        }
        let ports = counted(registry.listeners.open.count, "port")
        let sessions = counted(registry.livingSessions, "session")
        let held = registry.heldRoutes.isEmpty ? "" : ", \(registry.heldRoutes.count) held"
        return "\(counted(registry.routes.count, "route")) on \(ports)\(held); \(sessions)"
    }
}
