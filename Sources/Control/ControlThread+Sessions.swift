internal import CKernel
internal import Logging
internal import Memory
internal import Proxy
internal import Registration
internal import Routing
internal import TLS
internal import Yamux

// From a judged registration to a session, and what reactors report of sessions.
extension ControlThread {
    /// Finds or opens the listener of a registration and makes it a session.
    func place(_ registration: PendingRegistration, _ judged: JudgedRegistration) {
        guard registry.hasRoomForSession else {
            return refuse(
                registration, .limit,
                "There are as many sessions as socketmaster may have (\(registry.bounds.sessions)); "
                    + "end one, or raise --max-sessions.")
        }
        let definition = judged.definition
        guard definition.port != 0 else { return openAndAdopt(registration, judged) }
        let address = PublicAddress(address: definition.address, port: definition.port)
        switch registry.listener(for: address) {
        case .open(let slot): adopt(registration, judged, listener: slot)
        case .nothing: openAndAdopt(registration, judged)
        case .closing: wait(registration, judged)
        case .overlapped(let slot):
            let other = registry.listeners[slot]?.address.description ?? "another one"
            refuse(
                registration, .port,
                "\(address) overlaps \(other), where socketmaster listens for another service; "
                    + "register for the same address, or choose another port.")
        }
    }

    private static let noMemory = "The kernel has no memory for another session; try again in a moment."

    private func wait(_ registration: PendingRegistration, _ judged: JudgedRegistration) {
        if case .waiting = registration.phase { return }
        guard epoll.setReading(false, registration.descriptor.fd, registration.source) else {
            return refuse(registration, .limit, Self.noMemory)
        }
        pending.move(
            registration, to: .waiting(judged),
            deadline: now + UInt64(RegistrationLimits.deadlineMilliseconds))
    }

    private func openAndAdopt(_ registration: PendingRegistration, _ judged: JudgedRegistration) {
        if registry.freeListenerSlot() == nil {
            // One that is held gives way, and so does one after another if several registrations wait for that.
            if registry.listeners.closing.isEmpty {
                follow(registry.makeRoom(now: now) { plane.waitingClients.onListener($0) > 0 })
            }
            if !registry.listeners.closing.isEmpty { return wait(registration, judged) }
        }
        switch openListener(judged.definition.address, port: judged.definition.port) {
        case .opened(let slot): adopt(registration, judged, listener: slot)
        case .refused(let why, let sentence): refuse(registration, why, sentence)
        }
    }

    /// Gives the connection to a reactor. `OK` follows when the snapshot with the session has been published.
    private func adopt(_ registration: PendingRegistration, _ judged: JudgedRegistration, listener slot: Int) {
        let definition = judged.definition
        guard epoll.remove(registration.descriptor.fd) else { return refuse(registration, .limit, Self.noMemory) }
        pending.remove(registration)
        let fd = registration.descriptor.giveAway()
        // A connection that has broken already cannot be prepared either; its reactor finds out.
        _ = ck_prepare_session_socket(fd, ck_is_tcp(fd))
        let added = registry.addSession(
            to: slot, for: ClientPattern(definition), service: describe(registration, definition),
            peer: registration.host, isNamed: definition.port != 0, reusesStreams: definition.reusesStreams,
            identity: judged.identity, now: now)
        var command = Command(.adoptSession)
        command.fd = fd
        command.session = added.handle
        command.route = added.route
        command.options.reusesStreams = definition.reusesStreams
        command.options.tellsClientAddress = definition.wantsClientAddress
        command.options.marksLoops = definition.wantsLoopMarks
        command.program = program(of: definition, fd)
        command.hand(over: judged.behind)
        send(command, to: added.handle.reactor)
        for sibling in added.siblings { send(.probeSession, for: sibling) }
        announcements.append(
            Announcement(session: added.handle, response: response(to: definition, listener: slot).encoded()))
        untold[added.handle] = news(of: added, judged.identity)
    }

    /// A number for the program that the service is: by what it says of itself, else by its process if that can be
    /// known, else it is one of its own. That two get the same one is rare, and costs nothing but a preference.
    private func program(of definition: CanonicalDefinition, _ fd: Int32) -> UInt16 {
        var hasher = Hasher()
        let process = ck_peer_process(fd)
        if let instance = definition.instance {
            hasher.combine(instance)
        } else if process > 0 {
            hasher.combine(process)
        } else {
            hasher.combine(fd)
            hasher.combine(now)
        }
        return max(1, UInt16(truncatingIfNeeded: hasher.finalize()))
    }

    private func send(_ kind: Command.Kind, for session: SessionHandle) {
        var command = Command(kind)
        command.session = session
        send(command, to: session.reactor)
    }

    private func response(to definition: CanonicalDefinition, listener slot: Int) -> RegistrationResponse {
        var response = RegistrationResponse(status: RegistrationResponse.acceptedStatus)
        if definition.attributes != nil, let listener = registry.listeners[slot] {
            response.attributes = [
                RegistrationAttribute.port: "\(listener.address.port)",
                RegistrationAttribute.reactors: "\(registry.bounds.reactors)",
            ]
            if definition.wantsLoopMarks { response.attributes?[RegistrationAttribute.loopMarks] = "true" }
            if definition.wantsClientAddress {
                response.attributes?[RegistrationAttribute.clientAddress] = RegistrationAttribute.proxyProtocol
            }
        }
        return response
    }

    /// Says `OK`, and so does the log: every reactor can see the routes now.
    func announce() {
        for announcement in announcements {
            registrationResults[.accepted, default: 0] += 1
            tellRegistered(announcement.session)
            var command = Command(.announceSession)
            command.session = announcement.session
            command.hand(over: announcement.response)
            send(command, to: announcement.session.reactor)
        }
        announcements.removeAll(keepingCapacity: true)
    }

    private func describe(_ registration: PendingRegistration, _ definition: CanonicalDefinition) -> String {
        definition.name.map { "\(logText($0)) (\(registration.peer))" } ?? registration.peer
    }

    private func news(of added: AddedSession, _ identity: Identity?) -> RegistrationNews {
        guard let session = registry.sessions[added.handle] else { preconditionFailure("it was added just now") }
        let (route, count) = (session.routeName, counted(added.siblings.count + 1, "session"))
        var news = RegistrationNews(
            registered: "registered \(route) for \(session.service): \(count), reactor \(added.handle.reactor)",
            identity: identity)
        guard let milliseconds = added.heldFor else { return news }
        let waiting = registry.routes[session.route].map { plane.waitingClients.onListener($0.listener) } ?? 0
        let clients =
            "\(counted(Int(clamping: waiting), "client")) \(waiting == 1 ? "was" : "were") waiting on its port"
        news.released =
            "released \(route) after \(milliseconds) ms: \(waiting == 0 ? "nobody is waiting" : clients)"
        return news
    }

    /// Tells the log of the session's registration, if it has not been told yet.
    private func tellRegistered(_ session: SessionHandle) {
        guard let news = untold.removeValue(forKey: session), let route = registry.sessions[session]?.routeName else {
            return
        }
        log.info("\(news.registered)", metadata: .about("registered", route))
        if let released = news.released { log.info("\(released)", metadata: .about("released", route)) }
        if let identity = news.identity { logCertificate(identity, session) }
    }

    // MARK: reports

    /// Looks at every word that a reactor may have written.
    func takeReports() {
        takeSessionReports()
        takeListenerReports()
    }

    private func takeSessionReports() {
        // The table changes while its keys are gone through.
        for handle in Array(registry.sessions.keys) {
            let word = plane.peers[handle.reactor].sessionWords.load(handle.index)
            guard SessionWord.generation(word) == handle.generation else { continue }
            switch SessionWord.state(word) {
            case SessionWord.draining: sessionDrains(handle)
            case SessionWord.gone: sessionIsGone(handle, word)
            case SessionWord.released:
                sessionIsGone(handle, word)
                registry.sessionIsReleased(handle)
            default: break
            }
        }
    }

    private func sessionIsGone(_ handle: SessionHandle, _ word: UInt64) {
        guard let session = registry.sessions[handle], session.phase != .gone else { return }
        tellRegistered(handle)
        if let reason = SessionWord.reason(word) { sessionEnds[reason, default: 0] += 1 }
        let tally = plane.tally(of: handle).since(toldTallies.removeValue(forKey: handle))
        let event = isExpected(SessionWord.reason(word), session, tally) ? "session ended" : "session lost"
        let why = "\(reason(in: word))\(sessionsLeft(without: session))\(tally.clauses)"
        log.info(
            "\(event): \(session.routeName) for \(session.service): \(why)",
            metadata: .about(event, session.routeName))
        follow(registry.sessionIsGone(handle, now: now))
    }

    /// Whether the end was announced by one of the two sides, and has cost nobody anything.
    private func isExpected(_ reason: SessionEnd?, _ session: RegisteredSession, _ tally: SessionTally) -> Bool {
        guard tally.failed == 0, tally.cut == 0 else { return false }
        switch reason {
        case .drained, .stopped: return true
        case .closed:
            if case .serving = phase { return session.phase == .draining }
            return true
        default: return false
        }
    }

    /// How many sessions the route has without one of them, as a clause.
    private func sessionsLeft(without session: RegisteredSession) -> String {
        guard let route = registry.routes[session.route] else { return "" }
        let count = route.sessions.count - (session.phase == .live ? 1 : 0)
        return count == 0 ? ", no session is left" : ", \(counted(count, "session")) left"
    }

    private func sessionDrains(_ handle: SessionHandle) {
        guard let session = registry.sessions[handle], session.phase == .live else { return }
        tellRegistered(handle)
        let tally = plane.tally(of: handle)
        toldTallies[handle] = tally
        let why = "it said GoAway\(sessionsLeft(without: session))\(tally.clauses)"
        log.info(
            "session draining: \(session.routeName) for \(session.service): \(why)",
            metadata: .about("session draining", session.routeName))
        follow(registry.sessionDrains(handle, now: now))
    }

    /// Why a session is gone, as a clause.
    private func reason(in word: UInt64) -> String {
        guard let reason = SessionWord.reason(word) else { return "for an unknown reason" }
        guard reason == .breach, let breach = Breach(rawValue: SessionWord.detail(word)) else { return reason.clause }
        return "\(reason.clause): \(breach)"
    }

    /// Does what follows from a change of the registry.
    func follow(_ events: [RegistryEvent]) {
        for event in events {
            switch event {
            case .held(let route, let milliseconds):
                // Nobody comes back to a proxy that stops.
                guard case .serving = phase else { continue }
                let time = TimeSpan(milliseconds: milliseconds)
                log.info("held: \(route) for \(time)", metadata: .about("held", route))
            case .expired(let route, let milliseconds):
                log.info(
                    "given up: \(route) after \(milliseconds) ms, nobody came", metadata: .about("given up", route))
            case .gaveWay(let route, let milliseconds, let reason):
                log.info("given up: \(route) after \(milliseconds) ms, \(reason)", metadata: .about("given up", route))
            case .close(let slot):
                listenersToClose.append(slot)
            }
        }
    }
}

extension SessionTally {
    /// What has been added since it was told last.
    fileprivate func since(_ told: SessionTally?) -> SessionTally {
        guard let told else { return self }
        var rest = self
        rest.sentAgain -= min(rest.sentAgain, told.sentAgain)
        rest.failed -= min(rest.failed, told.failed)
        rest.cut -= min(rest.cut, told.cut)
        return rest
    }

    /// What became of the session's streams, as clauses behind a reason.
    fileprivate var clauses: String {
        var text = ""
        if sentAgain > 0 { text += "; \(Self.counted(sentAgain, "exchange")) to be sent again" }
        if failed > 0 { text += "; \(Self.counted(failed, "request")) answered with 502" }
        if cut > 0 { text += "; \(Self.counted(cut, "connection")) cut" }
        return text
    }

    /// The highest count stands for all above it.
    private static func counted(_ count: UInt16, _ noun: String) -> String {
        "\(count == .max ? "at least " : "")\(Control.counted(Int(count), noun))"
    }
}

extension Command {
    /// Lets the command carry bytes, in memory that its receiver frees.
    fileprivate mutating func hand(over bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 1)
        unsafe bytes.withUnsafeBytes { unsafe memory.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        address = UInt(bitPattern: memory)
        count = bytes.count
    }
}
