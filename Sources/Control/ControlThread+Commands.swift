internal import CKernel
internal import Logging
internal import Proxy
internal import Reactor

// What the control thread tells reactors, and what it does when one of them does not listen.
extension ControlThread {
    /// How often a full queue is tried again.
    private static let retryMilliseconds: Int32 = 5
    /// A reactor that has taken nothing for so long hangs.
    static let silenceMilliseconds: UInt64 = 1_000

    /// Sends a command. If its reactor's queue is full it waits here, and the round goes on.
    func send(_ command: Command, to reactor: Int) {
        backlog.send(command, to: reactor, of: plane)
    }

    /// Returns when all commands lie in their queues, because some must lie there before the snapshot or the command
    /// of another reactor that builds on them; or when the program is to end. Signals are served meanwhile.
    func deliverCommands() {
        guard !backlog.deliver(to: plane) else { return }
        let start = now
        while !backlog.deliver(to: plane) {
            _ = ck_is_readable(signals.fd, Self.retryMilliseconds)
            now = Sockets.nowMilliseconds()
            if now >= start + Self.silenceMilliseconds { backlog.silentReactors.forEach(tellSilence) }
            takeSignals()
            tellFiguresIfAsked()
            if case .draining = phase { stopIfDrained() }
            if case .stopped = phase { return }
        }
        for reactor in silentReactors { log.notice("reactor \(reactor) takes commands again") }
        silentReactors = []
    }

    /// Says so once, until it takes commands again.
    func tellSilence(_ reactor: Int) {
        guard silentReactors.insert(reactor).inserted else { return }
        let consequence = "its clients get nothing until this process has been started again"
        log.error(
            "reactor \(reactor) does not take commands: it hangs, which is a fault of socketmaster; \(consequence)")
    }
}
