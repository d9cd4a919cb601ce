internal import Glibc
internal import Memory
internal import Proxy
internal import Reactor
internal import Registration
internal import Routing
internal import TLS

// What other threads are told when they ask at the desk.
extension ControlThread {
    /// Answers whoever has asked since the last round.
    func answerQuestions() {
        let questions = desk.takeQuestions()
        guard !questions.isEmpty else { return }
        let isScrape = questions.contains { $0.isScrape }
        let report = currentReport(isScrape: isScrape)
        for question in questions { question.answer(report) }
        if isScrape { registry.figureSlots.scraped(quietOfReport) }
    }

    /// One made a moment ago will do: nobody needs more than five in a second.
    private func currentReport(isScrape: Bool) -> Report {
        if let (madeAt, report) = lastReport, now < madeAt + Self.reportMilliseconds { return report }
        let report = makeReport(isScrape: isScrape)
        lastReport = (now, report)
        return report
    }

    private static let reportMilliseconds: UInt64 = 200

    private func makeReport(isScrape: Bool) -> Report {
        settleFigures(isScrape: isScrape)
        // Before their figures are read, which are the last ones then.
        quietOfReport = registry.figureSlots.quiet
        noteTurns()
        let routes = routeReports()
        return Report(
            time: Double(KernelText.secondsSince1970), uptimeSeconds: Double(now - startedAt) / 1_000,
            processID: getpid(), isDraining: isDraining, isAlive: liveness.isAlive(now: now),
            limits: plane.limits, connections: Int(clamping: plane.totals.load(Plane.Total.connections.rawValue)),
            blocksInUse: Int(clamping: plane.sum(.blocksInUse)),
            listeners: listenerReports(), routes: routes, sessions: sessionReports(), reactors: reactorReports(),
            totals: totals(of: routes), registrations: registrationResults, sessionEnds: sessionEnds,
            linesLeftOut: logWriter?.linesLeftOut ?? 0,
            counters: Counter.allCases.map { plane.sum($0) })
    }

    private var isDraining: Bool {
        if case .serving = phase { return false }
        return true
    }

    /// Wakes each reactor, so that the next report can tell whether it has turned.
    private func noteTurns() {
        for (reactor, peer) in plane.peers.enumerated() where peer.finished.load(0) == 0 {
            liveness.note(turns: peer.counters.loadRelaxed(Counter.turns.rawValue), of: reactor, now: now)
            peer.doorbell.ring()
        }
    }

    // MARK: figures of routes

    /// Slots at which nobody can count any more are found, and given to other routes once their figures were told.
    func settleFigures(isScrape: Bool) {
        guard registry.figureSlots.hasDeparted else { return }
        registry.figureSlots.settle(oldest: publisher.oldestGeneration) { slot in
            let figures = plane.figures(ofRoute: Int(slot))
            return figures.openRequests == 0 && figures.openRelays == 0 && figures.waiting == 0
        }
        for slot in registry.figureSlots.takeEnded(now: now, isScrape: isScrape) {
            figuresOfGone += plane.figures(ofRoute: Int(slot))
            plane.clearFigures(ofRoute: Int(slot))
        }
    }

    private func totals(of routes: [RouteReport]) -> RouteFigures {
        var totals = figuresOfGone
        totals += plane.figures(ofRoute: RouteCounter.slotOfNone)
        for route in routes { totals += route.figures }
        // Not the difference of both: read one after the other, they could make the sum fall.
        totals.countWaits(once: plane.sum(.held))
        return totals
    }

    /// Those that are registered, those that were, and what stands for those without a slot.
    private func routeReports() -> [RouteReport] {
        var reports: [RouteReport] = []
        for (slot, entry) in registry.figureSlots.slots.sorted(by: { $0.key < $1.key }) {
            let figures = plane.figures(ofRoute: Int(slot))
            reports.append(report(entry.owner, registry.route(of: entry.owner), figures))
        }
        let others = plane.figures(ofRoute: RouteCounter.slotOfOthers)
        let sharing = registry.routes.values.filter { $0.figures == UInt16(RouteCounter.slotOfOthers) }
        guard !sharing.isEmpty || others != RouteFigures() else { return reports }
        let sessions = sharing.reduce(0) { $0 + $1.sessions.count }
        reports.append(
            RouteReport(
                listener: "", host: "other", path: "", kind: .other, state: .served, sessions: sessions,
                figures: others))
        return reports
    }

    private func report(_ owner: FigureOwner, _ route: RegisteredRoute?, _ figures: RouteFigures) -> RouteReport {
        let (kind, host, path) = owner.pattern.parts
        return RouteReport(
            listener: "\(owner.address)", host: host, path: path, kind: kind, state: state(of: route),
            sessions: route?.sessions.count ?? 0, figures: figures)
    }

    private func state(of route: RegisteredRoute?) -> RouteReport.State {
        guard let route else { return .gone }
        guard let since = route.heldSince else { return .served }
        let held = now - min(now, since)
        return .held(milliseconds: held, leftMilliseconds: registry.bounds.hold - min(held, registry.bounds.hold))
    }

    // MARK: everything else

    private func listenerReports() -> [ListenerReport] {
        var counts = countsOfClosed
        var reports: [ListenerReport] = []
        for (slot, listener) in registry.listeners.open.sorted(by: { $0.slot < $1.slot }) {
            let before = counts.removeValue(forKey: listener.address)
            let identities = listener.routes.values.flatMap { registry.routes[$0]?.identities ?? [] }
            reports.append(
                ListenerReport(
                    address: "\(listener.address)", isTLS: listener.certificates != nil,
                    routes: listener.routes.count, waiting: plane.waitingClients.onListener(slot),
                    waitingBytes: plane.waitingBytes.onListener(slot),
                    certificates: identities.map { .init(names: $0.identity.names, notAfter: $0.identity.notAfter) },
                    counts: ListenerCounter.allCases.map { counter in
                        plane.sum(counter, ofListener: slot) + (before?[counter.rawValue] ?? 0)
                    }))
        }
        return reports
    }

    private func sessionReports() -> [SessionReport] {
        registry.sessions.values.filter { $0.phase != .gone }
            .sorted { ($0.handle.reactor, $0.handle.index) < ($1.handle.reactor, $1.handle.index) }
            .map { session in
                let (handle, name) = (session.handle, session.routeName)
                let (kind, host, path) = name.pattern.parts
                let word = plane.peers[handle.reactor].sessionWords.load(handle.index)
                let isSlow =
                    SessionWord.generation(word) == handle.generation && SessionWord.state(word) == SessionWord.slow
                let figures = SessionFigures(word: plane.peers[handle.reactor].sessionFigures.loadRelaxed(handle.index))
                return SessionReport(
                    id: "\(handle.reactor)-\(handle.index)-\(handle.generation)", service: session.service,
                    peer: session.peer, listener: "\(name.address)", host: host, path: path, kind: kind,
                    state: session.phase == .draining ? .draining : isSlow ? .slow : .live, reactor: handle.reactor,
                    ageMilliseconds: now - min(now, session.since), streams: figures.streams,
                    roundTripMicroseconds: figures.roundTripMicroseconds)
            }
    }

    private func reactorReports() -> [ReactorReport] {
        plane.peers.enumerated().map { reactor, peer in
            ReactorReport(
                counts: Counter.allCases.map { peer.counters.loadRelaxed($0.rawValue) },
                cpuSeconds: Double(dataPlane.processorMicroseconds(ofReactor: reactor)) / 1_000_000)
        }
    }

    /// Ports that nobody has named are new ones each time, so there is a bound.
    func keep(_ counts: [UInt64], ofClosed address: PublicAddress) {
        guard let before = countsOfClosed[address] else {
            if countsOfClosed.count < Self.addressesKept { countsOfClosed[address] = counts }
            return
        }
        countsOfClosed[address] = zip(before, counts).map { $0 + $1 }
    }

    private static let addressesKept = 1_024
}

extension ClientPattern {
    /// As reports have it.
    fileprivate var parts: (kind: RouteReport.Kind, host: String, path: String) {
        switch self {
        case .raw: (.raw, "", "")
        case .http(let pattern): (.http, pattern.domainSuffix, pattern.pathPrefix)
        }
    }
}
