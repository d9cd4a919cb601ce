internal import CKernel
internal import Logging
internal import Memory
internal import Proxy

// The end, in order: nobody new is let in, requests under way end, reactors stop.
extension ControlThread {
    /// How often it is looked whether everything has ended. Reactors tell that they have; a connection that is handed
    /// over between two of them meanwhile does not.
    static let drainPollMilliseconds: UInt64 = 50

    func takeSignals() {
        while true {
            let signal = ck_next_signal(signals.fd)
            guard signal > 0 else { return }
            guard signal != SIGUSR1 else {
                tellFigures()
                continue
            }
            switch phase {
            case .serving: beginToDrain(signal)
            case .draining:
                log.notice("stopped at once by a second signal")
                phase = .stopped(exitCode: ExitCode.forced(by: signal))
            case .stopped: return
            }
        }
    }

    private func beginToDrain(_ signal: Int32) {
        let name = signal == SIGINT ? "SIGINT" : "SIGTERM"
        log.notice("stopping by \(name): requests under way have \(settings.drain) to end")
        phase = .draining(until: now + settings.drain.milliseconds)
        // They are closed next, in any case.
        for socket in controlSockets { _ = epoll.remove(socket.fd) }
        // This removes the files of unix sockets, too: a successor may register its own from now on.
        controlSockets.removeAll()
        acceptResumesAt = nil
        for registration in pending.all { evict(registration, "socketmaster stops") }
        for reactor in plane.peers.indices { plane.send(Command(.drain), to: reactor) }
    }

    func stopIfDrained() {
        guard case .draining(let end) = phase else { return }
        let connections = plane.totals.load(Plane.Total.connections.rawValue)
        let isDrained = connections == 0 && plane.peers.allSatisfy { $0.finished.load(0) != 0 }
        guard isDrained || end <= now else { return }
        if !isDrained { log.notice("\(counted(Int(connections), "connection")) cut off, the time to drain is over") }
        for reactor in plane.peers.indices { plane.send(Command(.stop), to: reactor) }
        // A reactor stops within a turn. If one does not, signals end the process.
        ck_restore_signals()
        dataPlane.join()
        tellLastFailures()
        log.notice("stopped")
        phase = .stopped(exitCode: ExitCode.success.rawValue)
    }
}
