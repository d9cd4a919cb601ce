internal import CKernel
internal import Logging
internal import Memory
internal import Proxy

// The end, in order: nobody new is let in, requests under way end, reactors stop.
extension ControlThread {
    /// How often it is looked whether everything has ended. Reactors tell that they have; a connection that is handed
    /// over between two of them meanwhile does not.
    static let drainPollMilliseconds: UInt64 = 50

    /// A reactor stops within a turn, and then only has to give back what it holds.
    private static let stopMilliseconds = 2_000

    func takeSignals() {
        for _ in 0..<SignalPace.signalsAtOnce {
            let signal = ck_next_signal(signals.fd)
            guard signal > 0 else { return }
            take(signal)
            if case .stopped = phase { return }
        }
    }

    private func take(_ signal: Int32) {
        switch SignalMeaning(signal) {
        case .end(let exitCode):
            guard case .draining = phase else { return beginToDrain(signal, exitCode) }
            log.notice("stopped at once by a second signal")
            phase = .stopped(exitCode: ExitCode.forced(by: signal))
        case .endInGoodOrder(let exitCode):
            if case .serving = phase { beginToDrain(signal, exitCode) }
        case .figures: signalPace.askForFigures(now: now)
        case .nothing(let sentence):
            guard let leftOut = signalPace.admitLine(of: signal, now: now) else { return }
            let note = leftOut > 0 ? " (and \(leftOut) more since it was told last)" : ""
            log.notice("\(SignalMeaning.name(of: signal)) \(sentence)\(note)")
        }
    }

    func tellFiguresIfAsked() {
        if signalPace.takeFigures(now: now) { tellFigures() }
    }

    private func beginToDrain(_ signal: Int32, _ exitCode: Int32) {
        phase = .draining(
            Drain(
                until: now + settings.drain.milliseconds, exitCode: exitCode, since: now,
                turns: plane.peers.map { $0.counters.loadRelaxed(Counter.turns.rawValue) }))
        // They are closed next, in any case.
        for socket in controlSockets { _ = epoll.remove(socket.fd) }
        // This removes the files of unix sockets and gives up their locks, too: a successor may register its own, also
        // one that is started by whoever has read the line.
        controlSockets.removeAll()
        let name = SignalMeaning.name(of: signal)
        log.notice("stopping by \(name): requests under way have \(settings.drain) to end")
        tellManagerOfEnd()
        acceptResumesAt = nil
        for registration in pending.all { evict(registration, .stopping, "socketmaster is stopping") }
        for reactor in plane.peers.indices { send(Command(.drain), to: reactor) }
    }

    func stopIfDrained() {
        guard case .draining(let drain) = phase else { return }
        let connections = plane.totals.load(Plane.Total.connections.rawValue)
        let isDrained = connections == 0 && plane.peers.allSatisfy { $0.finished.load(0) != 0 }
        if now >= drain.since + Self.silenceMilliseconds { hanging(since: drain).forEach(tellSilence) }
        guard isDrained || drain.until <= now else { return }
        if connections > 0 {
            log.notice("\(counted(Int(connections), "connection")) cut off, the time to drain is over")
        }
        // From here on nobody takes signals: they end the process at once.
        ck_restore_signals()
        for reactor in plane.peers.indices { send(Command(.stop), to: reactor) }
        let hanging = dataPlane.join(withinMilliseconds: Self.stopMilliseconds)
        for reactor in hanging {
            log.error("reactor \(reactor) does not stop, a fault of socketmaster; please report it")
        }
        tellLastFailures()
        log.notice("stopped")
        phase = .stopped(exitCode: hanging.isEmpty ? drain.exitCode : ExitCode.software.rawValue)
    }

    /// Reactors that have not taken a turn since they were told to drain.
    private func hanging(since drain: Drain) -> [Int] {
        plane.peers.indices.filter {
            plane.peers[$0].counters.loadRelaxed(Counter.turns.rawValue) == drain.turns[$0]
                && plane.peers[$0].finished.load(0) == 0
        }
    }
}
