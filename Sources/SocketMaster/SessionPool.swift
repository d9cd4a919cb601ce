import Logging
import NIOCore
import NIOPosix
import Registration

/// The sessions of one listener: registers as many as are wanted, and each anew when it has ended.
///
/// A slot stands for one session that ought to be there. The session that a proxy drains goes on beside the one that
/// takes its place. Everything here happens on the listener's event loop, which makes the type `Sendable`.
final class SessionPool: @unchecked Sendable {
    /// The listener's side.
    struct Hooks: Sendable {
        /// Called on the event loop of the session that the acceptor is for.
        let makeAcceptor: @Sendable () -> any StreamAcceptor
        let added: @Sendable (SessionReference) -> Void
        let removed: @Sendable (SessionReference) -> Void
        /// A session has been registered, with these attributes of the proxy.
        let registered: @Sendable ([String: String]) -> Void
    }

    /// Makes a session; `Registrar.register`, or what a test has in its place.
    typealias Register =
        @Sendable (
            _ eventLoop: any EventLoop, _ port: Int, _ withAttributes: Bool,
            _ makeAcceptor: @escaping @Sendable () -> any StreamAcceptor,
            _ onEvent: @escaping @Sendable (SessionEvent) -> Void
        ) -> Registrar.Attempt

    private struct Slot {
        enum Phase {
            case connecting(attempt: Int)
            case open(session: Int)
            case waiting(Scheduled<Void>)
            /// More than the proxy has reactors.
            case surplus
        }

        let eventLoop: any EventLoop
        var phase = Phase.surplus
        var backoff: Backoff
        /// What was last said in the log about this slot's failure, so that it is not said again and again.
        var lastFailure = ""
        /// The next session takes the place of one that was lost, or that the proxy drains.
        var isReplacing = false
    }

    private struct Session {
        let reference: SessionReference
        let slot: Int
        let since: NIODeadline
        var isDraining = false
        /// It is we who drain it, because the service is withdrawn.
        var isWithdrawn = false
    }

    private let eventLoop: any EventLoop
    private let group: any EventLoopGroup
    private let registrar: Registrar
    private let register: Register
    private let log: Logger
    private var hooks: Hooks?
    private var slots: [Slot] = []
    private var sessions: [Int: Session] = [:]
    private var sessionCount = 0
    /// Registrations under way.
    private var attempts: [Int: Registrar.Attempt] = [:]
    /// The port that the proxy has chosen, where any will do: all sessions are for the same.
    private var chosenPort: Int?
    /// The log has it that the proxy may not know of attributes.
    private var hasToldOfAttributes = false
    /// Waits for the first registration.
    private var firstPromise: EventLoopPromise<Void>?
    /// Set once the listener is closed.
    private var endPromise: EventLoopPromise<Void>?
    /// The application wants no sessions for the time being; fulfilled when there are none that get new connections.
    private var withdrawal: EventLoopFuture<Void>?
    private var isWithdrawn: Bool { withdrawal != nil }
    /// Whether the proxy is spoken to with attributes: until one is met that does not know of them, and again with the
    /// next one.
    private var usesAttributes = true

    private static let sessionsMaximum = 256

    init(
        eventLoop: any EventLoop, group: any EventLoopGroup, registrar: Registrar, log: Logger,
        register: Register? = nil
    ) {
        self.eventLoop = eventLoop
        self.group = group
        self.registrar = registrar
        self.register = register ?? registrar.register(on:port:withAttributes:makeAcceptor:onEvent:)
        self.log = log
    }

    private var configuration: SocketMasterConfiguration { registrar.configuration }

    /// Registers the first session. The others follow by themselves.
    func start(_ hooks: Hooks) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        eventLoop.execute {
            guard self.endPromise == nil else { return promise.fail(SocketMasterError.closed) }
            assert(self.hooks == nil && self.slots.isEmpty, "a pool is started once")
            self.hooks = hooks
            self.firstPromise = promise
            self.resize(to: 1)
            self.checkInvariants()
        }
        return promise.futureResult
    }

    /// Ends everything in good order: no new streams, those that there are have the configured time.
    /// - Parameters:
    ///   - quiet: Fulfilled when no session passes on any more connections.
    ///   - ended: Fulfilled when all of them have ended.
    func shutDown(quiet: EventLoopPromise<Void>, ended: EventLoopPromise<Void>) {
        eventLoop.execute {
            assert(self.endPromise == nil, "a pool is shut down once")
            self.endPromise = ended
            self.firstPromise?.fail(SocketMasterError.closed)
            self.firstPromise = nil
            for index in self.slots.indices {
                if case .waiting(let task) = self.slots[index].phase { task.cancel() }
            }
            for attempt in self.attempts.values { attempt.abandon() }
            let drains = self.sessions.values.map { session in
                session.reference.drain(timeout: self.configuration.drainTimeout)
            }
            EventLoopFuture.andAllComplete(drains, on: self.eventLoop).cascade(to: quiet)
            self.endIfEmpty()
            self.checkInvariants()
        }
    }

    /// Takes the service away from the proxy, or brings it back. Connections that the application has go on meanwhile.
    /// - Parameter promise: Fulfilled when no session is left that may get new connections, or when sessions are wanted
    ///   again.
    func setWithdrawn(_ isWithdrawn: Bool, promise: EventLoopPromise<Void>?) {
        eventLoop.execute {
            defer { self.checkInvariants() }
            guard self.endPromise == nil else {
                promise?.fail(ChannelError.alreadyClosed)
                return
            }
            if isWithdrawn {
                let withdrawal = self.withdrawal ?? self.withdraw()
                self.withdrawal = withdrawal
                return withdrawal.cascade(to: promise)
            }
            if self.isWithdrawn {
                self.withdrawal = nil
                // The others follow it, as at the start.
                if self.hooks != nil { self.resize(to: 1) }
            }
            promise?.succeed()
        }
    }

    private func withdraw() -> EventLoopFuture<Void> {
        assert(endPromise == nil && withdrawal == nil, "what is withdrawn is not withdrawn again")
        for index in slots.indices {
            if case .waiting(let task) = slots[index].phase { task.cancel() }
            slots[index].phase = .surplus
            slots[index].isReplacing = false
        }
        for id in sessions.keys {
            sessions[id]?.isDraining = true
            sessions[id]?.isWithdrawn = true
        }
        // A registration under way is not given up: the proxy may have connections on it already.
        let coming = attempts.values.map { $0.result.map(\.session) }
        let all = sessions.values.map { eventLoop.makeSucceededFuture($0.reference) } + coming
        let loop = eventLoop
        // What one session gave back before the proxy knows of all of them would only come by another one.
        return EventLoopFuture.andAllComplete(all.map { $0.flatMap { $0.withdraw() } }, on: loop).flatMap {
            EventLoopFuture.andAllComplete(all.map { $0.flatMap { $0.giveBack() } }, on: loop)
        }
    }

    private func endIfEmpty() {
        guard let endPromise, sessions.isEmpty, attempts.isEmpty else { return }
        assert(firstPromise == nil, "nobody waits for a session of a pool that has ended")
        // They hold the listener, which holds us.
        hooks = nil
        slots = []
        endPromise.succeed()
    }

    /// The proxy may have come back with another number of reactors.
    private func resize(to count: Int) {
        assert(1...Self.sessionsMaximum ~= count, "there is a session, and not one too many")
        assert(endPromise == nil, "a pool that ends wants no sessions")
        while slots.count < count {
            let loop = slots.isEmpty ? eventLoop : group.next()
            let backoff = Backoff(
                minimum: configuration.reconnectDelay, maximum: configuration.maximumReconnectDelay)
            slots.append(Slot(eventLoop: loop, backoff: backoff))
        }
        for index in slots.indices {
            switch slots[index].phase {
            case .surplus where index < count: connect(index)
            case .waiting(let task) where index >= count:
                task.cancel()
                slots[index].phase = .surplus
                slots[index].isReplacing = false
            case .open(let session) where index >= count:
                slots[index].phase = .surplus
                sessions[session]?.isDraining = true
                sessions[session]?.reference.drain(timeout: configuration.drainTimeout)
            default: break
            }
        }
    }

    private func connect(_ index: Int) {
        guard let hooks, endPromise == nil, !isWithdrawn else { return }
        assert(!isTaken(slots[index]), "a slot has one session, or one attempt at it")
        sessionCount += 1
        let id = sessionCount
        slots[index].phase = .connecting(attempt: id)
        let pool = self
        let onEvent: @Sendable (SessionEvent) -> Void = { event in
            pool.eventLoop.execute { pool.happened(event, to: id) }
        }
        let port = registrar.definition.port != 0 ? registrar.definition.port : chosenPort ?? 0
        let attempt = register(slots[index].eventLoop, port, usesAttributes, hooks.makeAcceptor, onEvent)
        attempts[id] = attempt
        attempt.result.hop(to: eventLoop).whenComplete { result in
            pool.attempts[id] = nil
            switch result {
            case .success(let accepted): pool.registered(index, id, accepted)
            case .failure(let failure): pool.failed(index, id, failure)
            }
            pool.checkInvariants()
        }
    }

    private func registered(_ index: Int, _ id: Int, _ accepted: AcceptedRegistration) {
        assert(sessions[id] == nil && attempts[id] == nil, "an attempt comes to one session")
        sessions[id] = Session(reference: accepted.session, slot: index, since: eventLoop.now)
        registrar.metrics?.sessionBegan()
        guard endPromise == nil else {
            accepted.session.drain(timeout: .zero)
            return
        }
        guard attemptIsWanted(index, id) else {
            // It was on its way when the service was withdrawn, and has been told so.
            sessions[id]?.isDraining = true
            sessions[id]?.isWithdrawn = true
            return
        }
        if slots[index].isReplacing { registrar.metrics?.reconnected() }
        slots[index].isReplacing = false
        slots[index].phase = .open(session: id)
        slots[index].lastFailure = ""
        hasToldOfAttributes = false
        assert(!isWithdrawn, "a slot waits for nothing while the service is withdrawn")
        chosenPort = registrar.publicPort(accepted.attributes)
        hooks?.added(accepted.session)
        hooks?.registered(accepted.attributes)
        log.info(
            "registered",
            metadata: [
                "proxy": "\(registrar.address)", "session": "\(index)",
                "port": "\(accepted.attributes[RegistrationAttribute.port] ?? "\(registrar.definition.port)")",
            ])
        firstPromise?.succeed()
        firstPromise = nil
        let reactors = accepted.attributes[RegistrationAttribute.reactors].flatMap { Int($0) } ?? 1
        resize(to: min(max(configuration.sessions ?? reactors, 1), Self.sessionsMaximum))
    }

    private func failed(_ index: Int, _ id: Int, _ failure: any Error) {
        guard endPromise == nil else { return endIfEmpty() }
        guard attemptIsWanted(index, id) else { return }
        if usesAttributes, mayDoWithoutAttributes(failure) {
            usesAttributes = false
            if !hasToldOfAttributes { log.info("the proxy may not know of attributes; registering without them") }
            hasToldOfAttributes = true
            return connect(index)
        }
        usesAttributes = true
        registrar.metrics?.registrationFailed()
        let error = registrar.error(for: failure)
        // Somebody else may have taken it meanwhile.
        if error.code == .refused, sessions.isEmpty { chosenPort = nil }
        if let firstPromise, !mayWait(error) {
            self.firstPromise = nil
            slots[index].phase = .surplus
            return firstPromise.fail(error)
        }
        if slots[index].lastFailure != "\(error)" {
            slots[index].lastFailure = "\(error)"
            log.warning("not registered; trying again", metadata: ["session": "\(index)", "reason": "\(error)"])
        }
        wait(index, slots[index].backoff.next(chance: .random(in: 0...1)))
    }

    /// Whether it is the one that the slot waits for: the service may have been withdrawn, and have come back, since.
    private func attemptIsWanted(_ index: Int, _ id: Int) -> Bool {
        guard case .connecting(id) = slots[index].phase else { return false }
        return true
    }

    /// Whether it was the attributes that the proxy did not understand, or may have been.
    private func mayDoWithoutAttributes(_ failure: any Error) -> Bool {
        switch failure {
        case RegistrationFailure.attributesUnknown, RegistrationFailure.closed(_): !configuration.wantsClientAddress
        default: false
        }
    }

    /// Whether the first registration may be tried again.
    private func mayWait(_ error: SocketMasterError) -> Bool {
        error.code == .unreachable && configuration.waitsForProxy
    }

    private func wait(_ index: Int, _ pause: TimeAmount) {
        assert(pause >= .zero, "no pause is over before it begins")
        assert(endPromise == nil && !isWithdrawn, "nothing is tried again that nobody wants")
        slots[index].phase = .waiting(eventLoop.scheduleTask(in: pause) { self.connect(index) })
    }

    private func happened(_ event: SessionEvent, to id: Int) {
        eventLoop.assertInEventLoop()
        defer { checkInvariants() }
        guard let session = sessions[id] else { return }
        switch event {
        case .draining:
            log.info("the proxy drains the session", metadata: ["session": "\(session.slot)"])
            guard !session.isDraining else { return }
            sessions[id]?.isDraining = true
            replace(session, id, isDrain: true)
        case .ended(let reason):
            sessions[id] = nil
            registrar.metrics?.sessionEnded()
            hooks?.removed(session.reference)
            log.log(
                level: session.isWithdrawn ? .debug : .info, "session ended",
                metadata: ["session": "\(session.slot)", "reason": "\(reason)"])
            usesAttributes = true
            if !session.isDraining { replace(session, id, isDrain: false) }
            endIfEmpty()
        }
    }

    private func replace(_ session: Session, _ id: Int, isDrain: Bool) {
        guard endPromise == nil, case .open(id) = slots[session.slot].phase else { return }
        let pause = slots[session.slot].backoff.sessionEnded(
            after: eventLoop.now - session.since, isDrain: isDrain, chance: .random(in: 0...1))
        slots[session.slot].isReplacing = true
        wait(session.slot, pause)
    }

    private func isTaken(_ slot: Slot) -> Bool {
        switch slot.phase {
        case .connecting(let attempt): attempts[attempt] != nil
        case .open: true
        case .waiting, .surplus: false
        }
    }

    /// What holds while none of its functions runs.
    private func checkInvariants() {
        #if DEBUG
        eventLoop.assertInEventLoop()
        assert(slots.count <= Self.sessionsMaximum, "there are no more slots than sessions may be")
        assert(endPromise == nil || firstPromise == nil, "whoever waits for the first session learns of the end")
        guard endPromise == nil else { return }
        assert(hooks != nil || (slots.isEmpty && sessions.isEmpty), "sessions are for a listener")
        for index in slots.indices { check(slots[index], index) }
        for (id, session) in sessions {
            if case .open(id) = slots[session.slot].phase { continue }
            assert(session.isDraining, "a session without a slot is on its way out")
        }
        #endif
    }

    #if DEBUG
    private func check(_ slot: Slot, _ index: Int) {
        switch slot.phase {
        case .connecting(let attempt): assert(attempts[attempt] != nil, "who waits for an attempt hears of it")
        case .open(let session):
            assert(sessions[session]?.slot == index, "a slot and its session know of each other")
            assert(sessions[session]?.isDraining == false, "a session on its way out has lost its slot")
            assert(firstPromise == nil, "whoever waits for the first session learns of it")
        case .waiting: assert(!isWithdrawn, "nothing is tried again while the service is withdrawn")
        case .surplus: break
        }
        assert(!isWithdrawn || !isTaken(slot), "a service that is withdrawn has no slot in use")
    }
    #endif
}
