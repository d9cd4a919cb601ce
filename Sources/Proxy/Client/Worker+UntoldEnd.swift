import Exchanges
import Memory
import Reactor

/// How far the search for ends that the kernel has kept to itself has come.
struct UntoldEnds: BitwiseCopyable {
    /// The first connection that this pass has not looked at yet.
    var next: Int32 = 0
    var began: UInt64 = 0
    /// When the pass before this one began: who has brought nothing since has been looked at.
    var lastBegan: UInt64 = 0
}

// The kernel may keep an end to itself. When a peer's reset comes right behind its bytes, a repeated receive takes the
// wake-up of the one for that of the other: it brings the bytes, and waits for ever. It was so for a FIN, too, until
// 2026 (https://github.com/axboe/liburing/issues/1549). Most of those who have gone are found out by what they are
// to be sent; a relay or a session with nothing to be sent would stay. So a socket that has brought bytes is looked at
// once more, within five seconds: if its end is there, the receive is cancelled, and the next one brings it.
extension Worker {
    /// The session's tick has come, as it does once a second: it is looked at, and so are the clients, most of which it
    /// serves. Where there is no session, all that clients may do has an end of its own.
    @_noLocks
    mutating func lookForUntoldEnds(with session: Int32) {
        if case .received = sessions[session].reading.way, Sockets.hasEnded(sessions[session].fd) {
            let aside = Token(kind: Operation.aside, generation: 0, index: session)
            ring.cancel(token(Operation.sessionReceive, session: session), aside)
        }
        if untoldEnds.next == 0, now >= untoldEnds.began + DataPlaneLimits.lookMilliseconds { lookForUntoldEnds() }
    }

    /// For what one tick leaves.
    var lookTimer: Int32 {
        @_noLocks get { acceptTimer + 1 }
    }

    /// Looks at the next connections; those behind them have their turn soon.
    @_noLocks @inline(never)
    mutating func lookForUntoldEnds() {
        if untoldEnds.next == 0 { (untoldEnds.began, untoldEnds.lastBegan) = (now, untoldEnds.began) }
        let end = min(untoldEnds.next + DataPlaneLimits.looksAtOnce, Int32(connections.touched))
        for connection in untoldEnds.next..<end where mayHaveEnded(connection) {
            if Sockets.hasEnded(connections[connection].client.fd) { cancelReceive(connection) }
        }
        untoldEnds.next = end < Int32(connections.touched) ? end : 0
        if untoldEnds.next > 0 { timers.schedule(lookTimer, at: now + 1) }
    }

    /// Whether it waits for bytes, and has brought some since it was looked at.
    private func mayHaveEnded(_ connection: Int32) -> Bool {
        guard connections.isTaken(connection), !connections[connection].isClosing else { return false }
        guard case .armed = connections[connection].receive else { return false }
        return exchanges[connection].state.lastProgress >= untoldEnds.lastBegan
            || !connections[connection].received.isEmpty
    }
}
