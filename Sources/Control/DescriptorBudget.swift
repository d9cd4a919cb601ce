internal import Proxy

/// How the descriptors that the process may open are divided. Their sum never exceeds the limit, so that nobody who is
/// let in takes one that somebody else was promised.
struct DescriptorBudget: Equatable {
    /// RLIMIT_NOFILE.
    let limit: Int
    /// One a client.
    let connections: Int
    /// One a session.
    let sessions: Int
    /// Registrations under way, one each.
    let pending: Int
    /// Public ports; each takes a descriptor on every reactor, and one that guards the port.
    let listeners: Int
    let reactors: Int
    /// Of each reactor, two a pipe.
    let pipes: Int
    /// Standard streams, epoll, bells, rings, control addresses, the spare ones, and what libraries open for a moment.
    let fixed: Int

    /// - Throws: a sentence if the limit leaves no room.
    init(limit: Int, settings: Settings, reactors: Int) throws(StartFailure) {
        self.init(dividing: limit, settings, reactors)
        guard sum <= limit else {
            throw StartFailure(
                .configuration,
                "\(counted(connections, "client")), \(counted(sessions, "session")), \(pending) registrations at once, "
                    + "\(counted(pipes * reactors, "pipe")) and other open files need \(enough(settings)) descriptors, "
                    + "but only \(limit) are allowed; raise the hard limit (ulimit -Hn, LimitNOFILE=), or lower "
                    + "--max-connections, --max-sessions, --max-pending, --pipes or --reactors.")
        }
    }

    /// Whether it fits or not.
    private init(dividing limit: Int, _ settings: Settings, _ reactors: Int) {
        let defaults = DataPlaneLimits()
        self.limit = limit
        self.reactors = reactors
        pipes = settings.splices ? settings.pipes ?? max(1, min(defaults.pipes, limit / 64 / (2 * reactors))) : 0
        let ofMetrics = settings.metricsAddress == nil ? 0 : MetricsAddress.descriptors
        fixed = 32 + SpareDescriptors.count + 2 * (settings.controlAddresses?.count ?? 1) + 2 * reactors + ofMetrics
        sessions = settings.maximumSessions ?? max(1, min(defaults.sessions, limit / 8))
        pending = settings.maximumPending ?? max(1, min(1024, limit / 16))
        listeners = max(1, min(defaults.listeners, limit / 8 / (reactors + 1)))
        let rest = limit - fixed - sessions - pending - listeners * (reactors + 1) - 2 * pipes * reactors
        connections = settings.maximumConnections ?? max(1, min(settings.mostConnections, rest))
    }

    /// A limit that would do. What is divided by default grows with it, so the sum of this one is not enough.
    private func enough(_ settings: Settings) -> Int {
        var budget = self
        while budget.sum > budget.limit { budget = DescriptorBudget(dividing: budget.sum, settings, reactors) }
        return budget.limit
    }

    var sum: Int { fixed + connections + sessions + pending + listeners * (reactors + 1) + 2 * pipes * reactors }
}

extension DescriptorBudget: CustomStringConvertible {
    var description: String {
        "at most \(sum) of \(limit): \(connections) clients, \(sessions) sessions, \(pending) registrations, "
            + "\(counted(listeners, "listener")) with \(reactors + 1) each, "
            + "\(counted(pipes * reactors, "pipe")) with 2 each, \(fixed) others"
    }
}
