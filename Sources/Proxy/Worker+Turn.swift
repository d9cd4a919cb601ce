import HTTP1
import Memory
import Reactor
import Routing

extension Worker {
    /// Turns until it is told to stop.
    mutating func run() {
        armBell()
        // Whoever started the thread waits for this.
        bump(.turns)
        while !isStopped {
            waitForWork()
            beginTurn()
            takeCommands()
            takeCompletions()
            continueSplicing()
            expireTimers()
            endTurn()
        }
        stopSessions()
        mailbox.leave()
        finished.store(1, at: 0)
        controlBell.ring()
    }

    @_noLocks
    private mutating func waitForWork() {
        var milliseconds = timers.millisecondsToNext(from: now)
        doorbell.prepareSleep()
        let nothingPublished = mailbox.prepareSleep()
        let mayAdmit = accepting.hasFreedSlot && accepting.isPaused
        let mayGoOn =
            !splicingReaders.isEmpty || !splicingSenders.isEmpty || !starvedConnections.isEmpty
            || !starvedSessions.isEmpty
        if mayGoOn || !nothingPublished || !commands.isEmpty() || !postponed.isEmpty || returnCount > 0 || mayAdmit
            || isMarked
        {
            milliseconds = 0
        }
        ring.submitAndWait(milliseconds: milliseconds, pollingFirst: limits.busyPoll)
        // What could not be submitted still refers to it.
        if ring.isSubmitted() { gather.reset() }
        doorbell.awake()
    }

    /// What the end of the turn has marked after its turn to be flushed had passed.
    private var isMarked: Bool { !dirtyConnections.isEmpty || !dirtySessions.isEmpty || !servable.isEmpty }

    /// Completions are counted before the snapshot is loaded: none is judged by one that was older when it came.
    @_noLocks
    mutating func beginTurn() {
        nowMicroseconds = Sockets.nowMicroseconds()
        now = nowMicroseconds / 1_000
        if now >= dateDue { writeDate() }
        completionsInTurn = ring.completionCount()
        snapshot = mailbox.beginTurn()
        recentSession = -1
        copiesLeft = DataPlaneLimits.copiedBytesPerTurn
        bump(.turns)
    }

    /// One text a second, in whole seconds of the wall's clock.
    @_noLocks @inline(never)
    private mutating func writeDate() {
        let milliseconds = Sockets.wallMilliseconds()
        unsafe HTTPDate.write(secondsSinceEpoch: milliseconds / 1_000, to: dateSpace)
        dateDue = now + 1_000 - milliseconds % 1_000
    }

    mutating func takeCommands() {
        while let command = commands.pop() { obey(command) }
        retryPostponed()
        if returnCount > 0 { retryReturns() }
        // Behind the commands: the snapshot may name sessions whose adoption was still in the queue.
        if snapshot.generation != snapshotGeneration {
            snapshotGeneration = snapshot.generation
            routeWaiting()
        }
    }

    /// All completions that the turn began with, without a system call between them.
    @_noLocks
    mutating func takeCompletions() {
        for offset in 0..<completionsInTurn {
            let completion = ring.completion(at: offset)
            let before = buffersGivenBack
            take(completion)
            checkBuffer(of: completion, before: before)
        }
        ring.advance(completionsInTurn)
        if ring.hasOverflowed() { bump(.overflows) }
    }

    @_noLocks
    private mutating func take(_ completion: Completion) {
        switch completion.token.kind {
        case Operation.receive: receiveCompleted(completion)
        case Operation.sessionReceive: sessionReceiveCompleted(completion)
        case Operation.send: sendCompleted(completion)
        case Operation.sessionSend: sessionSendCompleted(completion)
        case Operation.accept: acceptCompleted(completion)
        case Operation.poll: pollCompleted(completion)
        case Operation.sessionPoll: sessionPollCompleted(completion)
        case Operation.bell: armBell()
        default: break
        }
    }

    /// Sessions whose turn was over before all was moved have another one.
    @_noLocks
    private mutating func continueSplicing() {
        for _ in 0..<splicingReaders.count {
            let session = splicingReaders.removeFirst()
            if session >= 0 { readSplicing(session) }
        }
        for _ in 0..<splicingSenders.count {
            let session = splicingSenders.removeFirst()
            if session >= 0 { markDirty(session: session) }
        }
    }

    @_noLocks
    func armBell() {
        unsafe ring.read(doorbell.fd, bellSpace, Token(kind: Operation.bell, generation: 0, index: 0))
    }

    /// What the turn has brought together goes out, each socket's bytes in one send.
    private mutating func endTurn() {
        if drainsInTurn { drain() }
        freeEnded()
        if accepting.hasFreedSlot {
            accepting.hasFreedSlot = false
            resumeAccept()
        }
        serveServable()
        flushSessions()
        flushConnections()
        clientBuffers.publish()
        sessionBuffers.publish()
        rearmStarved()
        accountBlocks()
        freeEnded()
        checkInvariants()
        set(.pipesInUse, to: pipes.borrowed)
        mailbox.endTurn()
        if isDraining { reportIfDrained() }
    }

    /// Receives that found no buffer are armed again, now that the turn has given all of them back, and no more of them
    /// than there are buffers: where a great many clients speak at once, each turn would try all of them in vain.
    @_noLocks
    private mutating func rearmStarved() {
        for _ in 0..<min(starvedConnections.count, limits.receiveBuffers) {
            let connection = starvedConnections.removeFirst()
            if connection >= 0 { continueReceiving(connection) }
        }
        for _ in 0..<min(starvedSessions.count, DataPlaneLimits.sessionBuffers) {
            let session = starvedSessions.removeFirst()
            if session >= 0 { armSessionReceive(session) }
        }
    }

    /// Tells the process what lies in blocks here, and hears what it is altogether.
    @_noLocks
    private mutating func accountBlocks() {
        let change = pool.inUse - blocksReported
        var total = totals.loadRelaxed(1)
        if change != 0 {
            blocksReported = pool.inUse
            total = totals.add(UInt64(bitPattern: Int64(change)), at: 1)
            set(.blocksInUse, to: pool.inUse)
            set(.keptBlocks, to: keptBlocks)
        }
        let bytes = Int(truncatingIfNeeded: total) * BlockPool.blockBytes
        if bytes > limits.bufferBytes / 2 || isScarce { weigh(bytes) }
        if bytes > limits.bufferBytes {
            isOverBufferLimit = true
            let excess = bytes - closingBytes - limits.waitingBytes
            if excess > 0, pool.inUse * limits.reactors > Int(total) / 2 { resetStalled(excess) }
        } else if isOverBufferLimit, bytes < limits.bufferBytes / 8 * 7 {
            isOverBufferLimit = false
            giveWithheldCredit()
        }
    }

    @_noLocks
    private mutating func expireTimers() {
        timers.advance(to: now)
        while true {
            let node = timers.nextExpired()
            guard node >= 0 else { return }
            if Int(node) < limits.connections {
                connectionExpired(node)
            } else if Int(node) < limits.connections + limits.sessions {
                sessionExpired(node - Int32(limits.connections))
            } else {
                resumeAccept()
            }
        }
    }
}
