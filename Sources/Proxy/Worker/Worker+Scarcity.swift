import Exchanges
import Memory
import Reactor
import Yamux

// What happens when the process holds more than it should. Above a half of `--buffer-limit` a session that has more
// than its share gets no further stream: its requests wait unsent, and make way for themselves where somebody of that
// session takes nothing. Above the limit nobody gets credit whose client does not take what there is. A quarter above
// it those end that hold most and take nothing. Frames have blocks of their own, so no session is lost for the bytes of
// others.
extension Worker {
    /// Whether the session may have another stream as far as memory goes.
    @_noLocks @inline(__always)
    func mayHoldMore(_ session: Int32) -> Bool {
        guard pool.inUse <= memory.blocksForStreams else { return false }
        return !memory.isScarce || isWithinShare(session)
    }

    @inline(never)
    private func isWithinShare(_ session: Int32) -> Bool {
        Int(memory.heldBySession[session]) << 10 < shareOfSession
    }

    /// What the streams of a session may hold while memory is scarce: a part of what a half of the limit has for each.
    private var shareOfSession: Int {
        @_noLocks get {
            let here = books.value(of: .sessions)
            return max(Int(StreamState.initialWindow), limits.bufferBytes / 2 / max(2, here * limits.reactors))
        }
    }

    /// Looks which session holds how much, now and then, for as long as memory is scarce.
    @_noLocks @inline(never)
    mutating func weigh(_ bytes: Int) {
        let wasScarce = memory.isScarce
        memory.isScarce = bytes > (wasScarce ? limits.bufferBytes / 8 * 3 : limits.bufferBytes / 2)
        guard memory.isScarce else { return wakeOpeners() }
        guard !wasScarce || now >= memory.weighedAt + DataPlaneLimits.shareMilliseconds else { return }
        memory.weighedAt = now
        for session in 0..<Int32(limits.sessions) { memory.heldBySession[session] = 0 }
        for connection in 0..<Int32(connections.touched) where connections.isTaken(connection) {
            let session = exchanges[connection].session
            guard session >= 0, !isWaiting(connection), connections[connection].hasUnsent else { continue }
            memory.heldBySession[session] += Int32(truncatingIfNeeded: (heldBytes(connection) + 1023) >> 10)
        }
        guard waiting.forSessions > 0 else { return }
        makeWay()
        wakeOpeners()
    }

    /// Whoever waits for a session that holds too much is worth more than who has taken nothing of it for a second.
    private mutating func makeWay() {
        assert(memory.isScarce, "rule 10: way is made while memory is scarce")
        let share = shareOfSession
        for session in 0..<Int32(limits.sessions) where !sessions[session].waiters.openers.isEmpty {
            let excess = Int(memory.heldBySession[session]) << 10 - share
            if excess >= 0 { resetStalled(excess + 1, of: session, leastStillness: Self.secondOfStillness) }
        }
    }

    /// Those that wait for a session are looked at again.
    private mutating func wakeOpeners() {
        for session in 0..<Int32(limits.sessions) where !sessions[session].waiters.isEmpty {
            markDirty(session: session)
        }
    }

    /// Bytes in blocks here because of the connection. What lies in a pipe is the kernel's: to give it up would free no
    /// block.
    private func heldBytes(_ connection: Int32) -> Int {
        let record = connections[connection]
        let behind = record.pipe >= 0 ? behindPipes[record.pipe].count : 0
        return record.outgoing.count + record.sealed.count + behind + record.received.count
            + exchanges[connection].kept.count
    }

    /// Ends connections whose bytes nobody takes until so many bytes will come back. Who has taken nothing for a second
    /// goes before who has for a moment, if enough is to be had of those; then who has taken least in all, and of those
    /// who holds most.
    /// - Parameter session: only those whose bytes are of this one; -1: of any.
    @_noLocks @inline(never)
    mutating func resetStalled(_ excess: Int, of session: Int32 = -1, leastStillness: Int = 1) {
        assert(excess > 0, "rule 10: somebody ends only for bytes that are to come back")
        let stillness = stillnessToEnd(excess, of: session, least: leastStillness)
        guard stillness >= leastStillness else { return }
        var least = Int.max
        var most = 0
        for connection in 0..<Int32(connections.touched) where isCandidate(connection, of: session) {
            guard self.stillness(of: connection) >= stillness else { continue }
            let (taken, waiting) = (appetite(of: connection), waitingBytes(connection))
            guard taken < least || taken == least && waiting > most else { continue }
            least = taken
            most = waiting
        }
        var left = excess
        for connection in 0..<Int32(connections.touched) where left > 0 && isCandidate(connection, of: session) {
            let waiting = waitingBytes(connection)
            guard self.stillness(of: connection) >= stillness, 2 * waiting > most else { continue }
            guard appetite(of: connection) <= least else { continue }
            left -= heldBytes(connection)
            books.bump(.resets)
            close(connection, reset: true, counting: .resetOverLimit)
        }
    }

    /// How still connections have to be, so that enough is to be had of them; below `least` if there are none.
    private mutating func stillnessToEnd(_ excess: Int, of session: Int32, least: Int) -> Int {
        var held = InlineArray<4, Int>(repeating: 0)
        for connection in 0..<Int32(connections.touched) where isCandidate(connection, of: session) {
            held[lookedAtStillness(of: connection)] += heldBytes(connection)
        }
        var stillness = Self.secondOfStillness
        var sum = held[stillness]
        while sum < excess, stillness > least {
            stillness -= 1
            sum += held[stillness]
        }
        return sum > 0 ? stillness : least - 1
    }

    /// Who waits for a service is bounded by other limits.
    private func isCandidate(_ connection: Int32, of session: Int32) -> Bool {
        guard connections.isTaken(connection), !connections[connection].isClosing, !isWaiting(connection) else {
            return false
        }
        // Way is made by those alone that do not take what the session has brought them.
        guard session < 0 || exchanges[connection].session == session && connections[connection].hasUnsent else {
            return false
        }
        return waitingBytes(connection) > 0
    }

    /// Bytes in blocks that one side of the connection is to take. (What is kept, to be sent again, is a copy.)
    private func waitingBytes(_ connection: Int32) -> Int {
        heldBytes(connection) - exchanges[connection].kept.count
    }

    /// What the client's kernel has ever acknowledged, in steps that double: who reads slowly has taken more than who
    /// reads nothing, and both hold as much.
    private func appetite(of connection: Int32) -> Int {
        guard connections[connection].hasUnsent else { return 0 }
        let taken = Sockets.acknowledged(connections[connection].client.fd) >> 13
        return UInt64.bitWidth - taken.leadingZeroBitCount
    }

    private static var secondOfStillness: Int { @_noLocks get { 3 } }

    /// For how long nothing of it was taken, in steps; 0: something was in this turn.
    private func stillness(of connection: Int32) -> Int {
        switch now - min(now, exchanges[connection].state.lastProgress) {
        case 1_000...: Self.secondOfStillness
        case 100...: 2
        case 0: 0
        default: 1
        }
    }

    /// The same, having looked whether the client's kernel acknowledges what has been sent: a slow one makes room in
    /// its socket's buffer every few seconds only.
    private mutating func lookedAtStillness(of connection: Int32) -> Int {
        let before = stillness(of: connection)
        guard before > 1 else { return before }
        noteProgress(connection)
        return stillness(of: connection)
    }
}
