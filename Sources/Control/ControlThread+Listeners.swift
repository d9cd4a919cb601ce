internal import CKernel
internal import Logging
internal import Memory
internal import Proxy
internal import Registration

// Public ports: opened by the control thread, owned by reactors.
extension ControlThread {
    enum OpenedListener {
        case opened(slot: Int)
        /// Why, and the sentence for the service.
        case refused(RegistrationResult, String)
    }

    /// - Parameter port: 0 takes any free one.
    func openListener(_ address: ListenAddress, port: UInt16) -> OpenedListener {
        guard let slot = registry.freeListenerSlot() else {
            return .refused(
                .limit,
                "socketmaster has as many listeners as it may have (\(registry.bounds.listeners)); "
                    + "register for a port that is open, or raise the limit on descriptors.")
        }
        do {
            let sockets = try openSockets(address, port: port)
            let listener = PublicAddress(address: address, port: sockets.port)
            let generation = registry.openListener(listener, slot: slot)
            listenerSockets[slot] = sockets
            prepareListener(slot, generation: generation)
            listenersToOpen.append(slot)
            log.info(
                "listener opened: \(listener)\(sockets.isIPv4Only ? ListenerSockets.ipv4Only : "")",
                metadata: about("listener opened", listener, isNamed: port != 0))
            return .opened(slot: slot)
        } catch {
            return .refused(.port, ListenerSockets.sentence(address, port: port, error))
        }
    }

    /// Ports that nobody has named are one subject: each of them is new.
    private func about(_ event: String, _ address: PublicAddress, isNamed: Bool) -> Logger.Metadata {
        guard !isNamed else { return .about(.init(event, "\(address)")) }
        return .about(.init(event, "\(address.address), each time on a free port", allowance: .many))
    }

    private func openSockets(_ address: ListenAddress, port: UInt16) throws(KernelFailure) -> ListenerSockets {
        while true {
            do {
                return try ListenerSockets(
                    address, port: port, backlog: settings.backlog, count: registry.bounds.reactors)
            } catch {
                guard error.number == EMFILE, spareDescriptors.release() else { throw error }
            }
        }
    }

    /// Every reactor has to know the listener before any of them gets a client there: it may hand that client over.
    private func prepareListener(_ slot: Int, generation: UInt32) {
        var command = Command(.prepareListener)
        command.listener = Int32(slot)
        command.generation = generation
        for reactor in plane.peers.indices { send(command, to: reactor) }
    }

    /// Clients are let in once the snapshot with the first route has been published: a reactor that knows none takes
    /// everybody's bytes for HTTP. Until then they wait in the sockets' queues.
    func openListeners() {
        for slot in listenersToOpen {
            for (reactor, fd) in (listenerSockets[slot]?.fds ?? []).enumerated() {
                var command = Command(.openListener)
                command.fd = fd
                command.listener = Int32(slot)
                send(command, to: reactor)
            }
        }
        listenersToOpen.removeAll(keepingCapacity: true)
    }

    /// Where clients speak first they are accepted with what they say.
    func deferAccepts() {
        // Later the sockets may be closed, and their numbers somebody else's.
        guard case .serving = phase else { return }
        for (slot, listener) in registry.listeners.open {
            listenerSockets[slot]?.deferAccept(listener.clientsSpeakFirst)
        }
    }

    /// Listeners without a route: no reactor finds one there any more, by the snapshot that has just been published.
    func closeListeners() {
        for slot in listenersToClose {
            var command = Command(.closeListener)
            command.listener = Int32(slot)
            for reactor in plane.peers.indices { send(command, to: reactor) }
        }
        listenersToClose.removeAll(keepingCapacity: true)
    }

    func takeListenerReports() {
        var hasClosed = false
        for (slot, listener) in registry.listeners.closing {
            let isClosed = plane.peers.allSatisfy { $0.listenerWords.load(slot) == UInt64(listener.generation) }
            guard isClosed else { continue }
            tellLastFailures(ofListener: slot, listener)
            keepFigures(ofClosed: slot, at: listener.address)
            registry.listenerIsClosed(slot)
            listenerSockets[slot] = nil
            log.info(
                "listener closed: \(listener.address)",
                metadata: about("listener closed", listener.address, isNamed: listener.isNamed))
            hasClosed = true
        }
        if hasClosed { placeWaiting() }
    }
}
