internal import CKernel
internal import Logging
internal import Proxy
internal import Reactor
internal import Registration
internal import Routing
internal import TLS

/// The one thread that registers services, opens and closes listeners, publishes snapshots and keeps time for holds.
///
/// It is the thread that calls `serve`. It waits in epoll and nowhere else: whatever a service or a client does, each
/// of its events is handled by a few calls that do not wait.
///
/// A round is: wait, take the events, end what has lasted too long, publish once, say `OK` to whoever was published.
public final class ControlThread {
    let settings: Settings
    let log: Logger
    /// What brings the log's lines to standard error.
    let logWriter: LogWriter?
    /// The epoll descriptor tells when it takes more of them.
    var waitsForLog = false
    let dataPlane: DataPlane
    var publisher: SnapshotPublisher
    /// A secret of the process, so that nobody can choose keys whose hashes collide.
    let hashSeed: UInt64
    var epoll: Epoll
    let signals: OwnedDescriptor
    var controlSockets: [ControlSocket]
    var spareDescriptors = SpareDescriptors()
    /// When control addresses accept again, if the process has run out of descriptors.
    var acceptResumesAt: UInt64?
    /// When the log may say so again.
    var nextComplaint: UInt64 = 0

    var registry: Registry
    var pending: PendingTable
    /// What the log has said of sessions that drain.
    var toldTallies: [SessionHandle: SessionTally] = [:]
    /// What has been told of clients that were turned away, and what is to be told next.
    var failures = FailureNews()
    /// What each figure of a listener is called.
    private(set) lazy var counterTexts = CounterText.all(settings, plane.limits)
    /// The sockets of each listener. They are the reactors'; the control thread only says when clients are let in.
    var listenerSockets: [Int: ListenerSockets] = [:]
    /// What certificates are chosen from on each listener, by the generations of the snapshots that name them.
    var tables: [(generation: UInt64, tables: [IdentityTable])] = []
    /// When tickets get a new key.
    var ticketsRenewedAt = UInt64.max
    /// What the log has said of certificates that clients refuse, and when it is looked at them again.
    var certificateWatch = CertificateWatch()
    var certificatesDueAt = UInt64.max
    /// What this round brings about once its snapshot is published.
    var announcements: [Announcement] = []
    /// What the log will say of them.
    var untold: [SessionHandle: RegistrationNews] = [:]
    var listenersToOpen: [Int] = []
    var listenersToClose: [Int] = []
    /// What had been counted for listeners when they were closed.
    var figuresOfClosed: [ListenerCounter: UInt64] = [:]

    /// Where others ask how things are; what they were told last, and the slots whose last figures were in it.
    public let desk: ReportDesk
    var lastReport: (madeAt: UInt64, report: Report)?
    var quietOfReport: [UInt16: FigureOwner] = [:]
    let startedAt: UInt64
    var liveness: Liveness
    /// What had been counted at routes that are gone, and at listeners that have been closed.
    var figuresOfGone = RouteFigures()
    var countsOfClosed: [PublicAddress: [UInt64]] = [:]
    /// What has become of registrations and of sessions.
    var registrationResults: [RegistrationResult: UInt64] = [:]
    var sessionEnds: [SessionEnd: UInt64] = [:]
    /// Where figures are told by HTTP, until somebody takes it to do so.
    var metricsSocket: OwnedDescriptor?

    /// After a start that has failed on the way: nothing that reactors read may go before the process does.
    var itself: ControlThread?

    var phase = Phase.serving
    /// Commands for reactors that take none, and the reactors of which the log has said so.
    var backlog: CommandBacklog
    var silentReactors: Set<Int> = []
    var signalPace = SignalPace()
    /// Nil: there is none, or it cannot be told anything.
    var manager: ServiceManager?
    var managerNews: ManagerNews
    /// Since the manager was last attended.
    var hasPublished = false
    /// What it has not been told, because the kernel took no datagram just then, and when it is tried again.
    var unsaid: [String] = []
    var unsaidAt: UInt64 = 0
    /// Of this round, in milliseconds of the monotonic clock.
    var now: UInt64 = 0
    var receiveBuffer = [UInt8](repeating: 0, count: 64 << 10)

    enum Phase {
        case serving
        /// Nobody new is let in; what is under way may end until then.
        case draining(Drain)
        case stopped(exitCode: Int32)
    }

    struct Drain {
        let until: UInt64
        /// What the program ends with, unless it is forced.
        let exitCode: Int32
        /// When it began, and the turns that each reactor had taken then.
        let since: UInt64
        let turns: [UInt64]
    }

    /// A registration as the log tells of it, once clients can come.
    struct RegistrationNews {
        let registered: String
        /// For a route that was held.
        var released: String?
        let identity: Identity?
    }

    /// The first bytes of a session.
    struct Announcement {
        let session: SessionHandle
        let response: [UInt8]
    }

    /// Made by `start`, which has done everything that can fail.
    init(
        settings: Settings, log: Logger, dataPlane: DataPlane, publisher: consuming SnapshotPublisher, hashSeed: UInt64,
        epoll: consuming Epoll, signals: OwnedDescriptor, controlSockets: [ControlSocket], pending: Int,
        manager: ServiceManager?
    ) {
        self.settings = settings
        self.log = log
        self.logWriter = (log.handler as? StandardErrorLog)?.writer
        self.dataPlane = dataPlane
        self.publisher = publisher
        self.hashSeed = hashSeed
        self.epoll = epoll
        self.signals = signals
        self.controlSockets = controlSockets
        self.pending = PendingTable(capacity: pending)
        desk = ReportDesk(bell: dataPlane.plane.controlBell)
        startedAt = Sockets.nowMilliseconds()
        liveness = Liveness(reactors: dataPlane.plane.limits.reactors)
        self.manager = manager
        managerNews = ManagerNews(watchdogMilliseconds: manager?.watchdogMilliseconds)
        let limits = dataPlane.plane.limits
        backlog = CommandBacklog(reactors: limits.reactors)
        registry = Registry(
            Registry.Bounds(
                reactors: limits.reactors, sessions: limits.sessions, listeners: limits.listeners,
                figures: limits.routeFigures - RouteCounter.firstSlot, hold: limits.hold))
    }

    var plane: Plane { dataPlane.plane }

    /// Serves until it is told to stop by a signal, and until its reactors have ended.
    /// - Returns: the exit code. If a second signal has forced the end, or a reactor hangs, reactors still run; leave
    ///   the process at once.
    public func serve() -> Int32 {
        while true {
            let events = epoll.wait(milliseconds: millisecondsToWait())
            now = Sockets.nowMilliseconds()
            // Before somebody registers a route for which there would be none.
            if registry.figureSlots.areAllTaken { settleFigures(isScrape: false) }
            for event in events { take(event) }
            expire()
            deliverCommands()
            if case .stopped(let exitCode) = phase { return exitCode }
            publish()
            deliverCommands()
            if case .draining = phase { stopIfDrained() }
            answerQuestions()
            attendManager()
            attendLog()
            if case .stopped(let exitCode) = phase {
                logWriter?.finish(milliseconds: Self.lastLinesMilliseconds)
                return exitCode
            }
        }
    }

    private func take(_ event: Epoll.Event) {
        switch event.source {
        case .signals: takeSignals()
        case .bell:
            plane.controlBell.take()
            takeReports()
            noteFailures()
        case .controlSocket(let index): acceptServices(at: index)
        case .registration(let id): continueRegistration(id, isBroken: event.isBroken)
        case .log: logWriter?.resume()
        }
    }

    /// Whatever has lasted long enough, and what the round's events have left behind.
    private func expire() {
        for registration in pending.expired(now: now) { expire(registration) }
        follow(registry.expireHolds(now: now))
        if let time = acceptResumesAt, time <= now { resumeAccepting() }
        tellFailures()
        tellFiguresIfAsked()
        renewTickets()
        watchCertificates()
        spareDescriptors.refill()
    }

    /// How long the last lines may take to be read when the program ends.
    private static let lastLinesMilliseconds: UInt64 = 500
    private static let logPollMilliseconds: UInt64 = 50

    /// Tells what was left out, and has the kernel tell when there is room for lines that are left.
    private func attendLog() {
        guard let logWriter else { return }
        logWriter.attend(now: now)
        let waits = logWriter.isWaiting
        guard waits != waitsForLog else { return }
        waitsForLog = waits ? epoll.addWriting(logWriter.fd, .log) : !epoll.remove(logWriter.fd)
    }

    /// Shows reactors what has changed, all of it at once, and then does what had to wait for that.
    private func publish() {
        if registry.hasChanged {
            let generation = publisher.current.generation + 1
            let definitions = registry.takeDefinitions()
            let snapshot = SnapshotBuilder.build(generation: generation, listeners: definitions, hashSeed: hashSeed)
            tables.append((generation, registry.certificateTables))
            _ = publisher.publish(snapshot)
            registry.figureSlots.published(generation: generation)
            hasPublished = true
            for peer in plane.peers { peer.doorbell.ring() }
            deferAccepts()
        } else if publisher.retiredCount > 0 {
            publisher.reclaim()
        }
        let oldest = publisher.oldestGeneration
        tables.removeAll { $0.generation < oldest }
        openListeners()
        announce()
        tellCertificateNews()
        closeListeners()
    }

    /// Until the next thing that happens by itself; negative: there is none.
    private func millisecondsToWait() -> Int32 {
        let own = min(
            acceptResumesAt ?? .max, failures.dueAt ?? .max, ticketsRenewedAt, certificatesDueAt, managerDueAt)
        var next = min(pending.nextDeadline, registry.nextExpiry ?? .max, own, logWriter?.nextDue ?? .max)
        // Without memory for it the kernel tells nothing.
        if !waitsForLog, logWriter?.isWaiting == true { next = min(next, now + Self.logPollMilliseconds) }
        if publisher.retiredCount > 0 { next = min(next, now + 1_000) }
        if let due = signalPace.figuresDueAt { next = min(next, due) }
        if case .draining(let drain) = phase { next = min(next, drain.until, now + Self.drainPollMilliseconds) }
        guard next != .max else { return -1 }
        let current = Sockets.nowMilliseconds()
        return Int32(clamping: next - min(next, current))
    }
}
