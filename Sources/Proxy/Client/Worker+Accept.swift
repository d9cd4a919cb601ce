import Exchanges
import Memory
import Reactor
import Routing

extension Worker {
    @_noLocks
    mutating func acceptCompleted(_ completion: Completion) {
        let listener = completion.token.index
        if !completion.hasMore { accepting.listeners[listener].isArmed = false }
        if completion.result >= 0 {
            accepted(completion.result, listener: listener)
        } else if !isOfOneClient(completion.result) {
            // No descriptor or no memory: try again when a connection ends, or soon.
            pauseAccept(error: -completion.result)
        }
        guard !accepting.listeners[listener].isArmed else { return }
        if accepting.listeners[listener].isClosing {
            finishListener(listener)
        } else if !accepting.isPaused, !isDraining {
            armAccept(listener)
        }
    }

    /// Whether an accept has failed for no other reason than that one client, whose connection was already over
    /// (accept(2), "Error handling"), or that it was to be asked again.
    private func isOfOneClient(_ result: Int32) -> Bool {
        switch result {
        case KernelError.canceled, KernelError.wouldBlock, KernelError.interrupted: true
        case KernelError.connectionAborted, KernelError.protocolFailed, KernelError.notPermitted: true
        case KernelError.networkDown, KernelError.noProtocolOption, KernelError.hostDown: true
        case KernelError.hostUnreachable, KernelError.networkUnreachable, KernelError.timedOut: true
        default: false
        }
    }

    @_noLocks
    mutating func armAccept(_ listener: Int32) {
        guard accepting.listeners[listener].fd >= 0, !accepting.listeners[listener].isArmed else { return }
        accepting.listeners[listener].isArmed = true
        ring.accept(accepting.listeners[listener].fd, acceptToken(listener))
    }

    @_noLocks
    func acceptToken(_ listener: Int32) -> Token { Token(kind: Operation.accept, generation: 0, index: listener) }

    @_noLocks
    mutating func accepted(_ fd: Int32, listener: Int32) {
        books.bump(.accepted)
        let client = ParkedClient(fd: fd, listener: listener, generation: accepting.listeners[listener].generation)
        if !accepting.parked.isEmpty || !admit(client) { park(client) }
    }

    /// Gives an accepted client a slot. False: there are as many as there may be.
    private mutating func admit(_ client: ParkedClient) -> Bool {
        if connections.isFull { freeEnded() }
        guard !connections.isFull else { return false }
        guard books.addConnection(limit: limits.connections) else { return false }
        let record = Client(fd: client.fd, listener: client.listener, listenerGeneration: client.generation)
        begin(insert(Connection(record), Exchange(now: now)))
        return true
    }

    /// There is a slot. Inlined, the exchange is made where it stays: as an argument it would be copied by a call.
    @_noLocks @inline(__always)
    mutating func insert(_ record: Connection, _ exchange: Exchange) -> Int32 {
        let connection = connections.insert(record)
        precondition(connection >= 0, "rule 4: whoever comes has looked for a slot")
        exchanges.occupy(connection, with: exchange)
        books.set(.connections, to: connections.count)
        return connection
    }

    /// A client that was accepted before the cancel took effect waits for a slot, as it would have in the listener's
    /// queue; so do those that were in that queue when the program was told to end.
    private mutating func park(_ client: ParkedClient) {
        pauseAccept(error: 0)
        guard !accepting.parked.isFull else {
            Sockets.resetOnClose(client.fd)
            Sockets.close(client.fd)
            books.bump(.refused)
            return count(.resetQueueFull, ofListener: client.listener, generation: client.generation)
        }
        count(.parked, ofListener: client.listener, generation: client.generation)
        accepting.parked.append(client)
        makeRoom()
    }

    /// Clients that wait for a slot get theirs, oldest first. False: there is none left.
    private mutating func admitParked() -> Bool {
        while !accepting.parked.isEmpty {
            guard admit(accepting.parked[0]) else { return false }
            accepting.parked.removeFirst()
        }
        return true
    }

    /// A new connection is looked at for the first time.
    @_noLocks
    mutating func begin(_ connection: Int32) {
        assert(!connections[connection].isClosing, "rule 4: who has just come is there")
        if listenerView(of: connection).speaksTLS { awaitHello(connection) } else { beginTraffic(connection) }
        guard !connections[connection].isClosing else { return }
        if isDraining { schedule(connection, at: now + pollingPeriod) }
        continueReceiving(connection)
    }

    /// What the client says from here on is for a service.
    @_noLocks
    mutating func beginTraffic(_ connection: Int32) {
        assert(!exchanges[connection].half.exists, "rule 29: who has said nothing is not served")
        let view = listenerView(of: connection)
        switch (view.hasHTTP, view.hasRaw) {
        case (false, true):
            connections[connection].client.mode = .relay
            // Whether it would have said something, nobody can know.
            if isDraining {
                close(connection, reset: false, counting: .closedDraining)
            } else {
                routeRaw(connection)
            }
        case (true, true):
            connections[connection].client.mode = .undecided
            schedule(connection, at: now + Timeouts.sniff)
        default:
            connections[connection].client.mode = .http
            schedule(connection, at: now + pollingPeriod)
        }
    }

    /// The listener's routes, or none if the connection's own listener has been closed.
    @_noLocks
    func listenerView(of connection: Int32) -> ListenerView {
        snapshot.listener(isOrphan(connection) ? limits.listeners : Int(connections[connection].client.listener))
    }

    /// Its listener has been closed, and its slot may mean another one.
    @_noLocks
    func isOrphan(_ connection: Int32) -> Bool {
        accepting.listeners[connections[connection].client.listener].generation
            != connections[connection].client.listenerGeneration
    }

    /// At a limit: leave new clients in the listeners' queues. The control thread tells that they wait.
    /// - Parameter error: why accepting has failed; 0: there are as many clients as there may be.
    @_noLocks
    mutating func pauseAccept(error: Int32) {
        guard !accepting.isPaused else { return }
        accepting.isPaused = true
        books.set(.acceptPaused, to: 1)
        if error > 0 { books.set(.acceptError, to: Int(error)) }
        books.bump(error > 0 ? .pausesByError : .pausesAtLimit)
        books.ringOnceASecond(now: now)
        for listener in 0..<Int32(accepting.listenerCount) where accepting.listeners[listener].isArmed {
            ring.cancel(acceptToken(listener), Token(kind: Operation.aside, generation: 0, index: listener))
        }
        timers.schedule(acceptTimer, at: now + DataPlaneLimits.acceptPauseMilliseconds)
    }

    var acceptTimer: Int32 {
        @_noLocks get { Int32(limits.connections + limits.sessions) }
    }

    @_noLocks
    mutating func resumeAccept() {
        guard accepting.isPaused else { return }
        // With nobody parked the next client is taken even at the limit: an idle one makes room for it if it can.
        guard admitParked() else {
            makeRoom()
            timers.schedule(acceptTimer, at: now + DataPlaneLimits.acceptPauseMilliseconds)
            return
        }
        guard !isDraining else { return }
        accepting.isPaused = false
        books.set(.acceptPaused, to: 0)
        timers.cancel(acceptTimer)
        for listener in 0..<Int32(accepting.listenerCount) where !accepting.listeners[listener].isClosing {
            armAccept(listener)
        }
    }

    @_noLocks
    mutating func closeListener(_ listener: Int32) {
        guard accepting.listeners[listener].fd >= 0 else { return }
        accepting.listeners[listener].isClosing = true
        if accepting.listeners[listener].isArmed {
            ring.cancel(acceptToken(listener), Token(kind: Operation.aside, generation: 0, index: listener))
        } else {
            finishListener(listener)
        }
    }

    /// The listener takes nobody any more: what its queue still holds is served, then it is closed and reported.
    @_noLocks
    mutating func finishListener(_ listener: Int32) {
        acceptQueued(listener)
        Sockets.close(accepting.listeners[listener].fd)
        let generation = accepting.listeners[listener].generation
        accepting.listeners[listener] = ListenerSlot(generation: 0)
        books.reportClosed(listener: listener, generation: generation)
    }

    /// Takes all clients that wait in the listener's queue: as many as fit into one, lest others come as fast.
    @_noLocks
    mutating func acceptQueued(_ listener: Int32) {
        for _ in 0..<DataPlaneLimits.longestBacklog {
            let fd = Sockets.acceptNow(accepting.listeners[listener].fd)
            guard fd >= 0 else { return }
            accepted(fd, listener: listener)
        }
    }
}
