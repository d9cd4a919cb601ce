internal import Glibc
internal import Logging
internal import Memory
internal import Proxy

// New clients wait in the kernel's queues, because reactors let nobody in. A line when that begins, and one when it has
// been over for a second: as clients come and go, reactors stop and go on many times a second.
extension ControlThread {
    func tellPause() {
        let (atLimit, byError) = (plane.sum(.pausesAtLimit), plane.sum(.pausesByError))
        var error: Int32?
        if byError != failures.pausesByError {
            error = plane.peers.map { Int32(clamping: $0.counters.loadRelaxed(Counter.acceptError.rawValue)) }.max()
        } else if atLimit != failures.pausesAtLimit {
            error = 0
        } else if plane.sum(.acceptPaused) > 0 {
            error = failures.pause?.error ?? 0
        }
        (failures.pausesAtLimit, failures.pausesByError) = (atLimit, byError)
        if let error { notePause(error) } else { endPause() }
    }

    private func notePause(_ error: Int32) {
        if failures.pause?.error != error { log.warning("\(sentence(error))") }
        failures.pause = AcceptPause(since: failures.pause?.since ?? now, seenAt: now, error: error)
    }

    private func endPause() {
        guard let pause = failures.pause, now >= pause.seenAt + FailureNews.pauseMilliseconds else { return }
        let tenths = (pause.seenAt - pause.since + 50) / 100
        let time = tenths < 10 ? "less than a second" : "\(tenths / 10).\(tenths % 10) s"
        log.notice("new clients are let in again after \(time)")
        failures.pause = nil
    }

    private func sentence(_ error: Int32) -> String {
        guard error > 0 else {
            let count = counted(plane.limits.connections, "connection")
            return "all \(count) of --max-connections are in use, new clients wait unless an idle one makes room; "
                + "raise it if that lasts"
        }
        let text = KernelText.error(error)
        switch error {
        case EMFILE:
            return "new clients wait, the kernel lets none in: \(text); raise the limit on descriptors "
                + "(LimitNOFILE of systemd, ulimit -n), or lower --max-connections"
        case ENFILE:
            return "new clients wait, the kernel lets none in: \(text); raise the sysctl fs.file-max"
        default:
            return "new clients wait, the kernel lets none in: \(text); look at the memory of the machine, "
                + "of its sockets (sysctl net.ipv4.tcp_mem), and of the program's cgroup"
        }
    }
}

/// Reactors let no new clients in.
struct AcceptPause {
    let since: UInt64
    /// When one of them was last found to.
    let seenAt: UInt64
    /// Why; 0: there are as many clients as there may be.
    let error: Int32
}
