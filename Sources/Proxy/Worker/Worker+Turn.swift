import Memory
import Reactor
import Routing

extension Worker {
    /// Turns until it is told to stop.
    mutating func run() {
        armBell()
        // Whoever started the thread waits for this.
        books.bump(.turns)
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
        neighbours.mailbox.leave()
        books.reportFinished()
    }

    @_noLocks
    private mutating func waitForWork() {
        var milliseconds = timers.millisecondsToNext(from: now)
        neighbours.doorbell.prepareSleep()
        let nothingPublished = neighbours.mailbox.prepareSleep()
        let mayAdmit = accepting.hasFreedSlot && accepting.isPaused
        if queues.haveMore || !nothingPublished || !neighbours.commands.isEmpty() || neighbours.returnCount > 0
            || mayAdmit
        {
            milliseconds = 0
        }
        ring.submitAndWait(milliseconds: milliseconds, pollingFirst: limits.busyPoll)
        // What could not be submitted still refers to it.
        if ring.isSubmitted() { gather.reset() }
        neighbours.doorbell.awake()
    }

    /// Completions are counted before the snapshot is loaded: none is judged by one that was older when it came.
    @_noLocks
    mutating func beginTurn() {
        let before = nowMicroseconds
        nowMicroseconds = Sockets.nowMicroseconds()
        now = nowMicroseconds / 1_000
        assert(nowMicroseconds >= before, "rule 6: time goes forwards")
        date.update(now: now)
        completionsInTurn = ring.completionCount()
        snapshot = neighbours.mailbox.beginTurn()
        choosing.beginTurn()
        copiesLeft = DataPlaneLimits.copiedBytesPerTurn
        books.bump(.turns)
    }

    mutating func takeCommands() {
        while let command = neighbours.commands.pop() { obey(command) }
        retryPostponed()
        if neighbours.returnCount > 0 { neighbours.retryReturns() }
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
        if ring.hasOverflowed() { books.bump(.overflows) }
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
        for _ in 0..<queues.splicingReaders.count {
            let session = queues.splicingReaders.removeFirst()
            if session >= 0 { readSplicing(session) }
        }
        for _ in 0..<queues.splicingSenders.count {
            let session = queues.splicingSenders.removeFirst()
            if session >= 0 { markDirty(session: session) }
        }
    }

    @_noLocks
    func armBell() {
        unsafe ring.read(
            neighbours.doorbell.fd, neighbours.bellSpace, Token(kind: Operation.bell, generation: 0, index: 0))
    }

    /// What the turn has brought together goes out, each socket's bytes in one send.
    mutating func endTurn() {
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
        books.set(.pipesInUse, to: pipes.borrowed)
        neighbours.mailbox.endTurn()
        if isDraining { reportIfDrained() }
    }

    /// Receives that found no buffer are armed again, now that the turn has given all of them back, and no more of them
    /// than there are buffers: where a great many clients speak at once, each turn would try all of them in vain.
    @_noLocks
    private mutating func rearmStarved() {
        for _ in 0..<min(queues.starvedConnections.count, limits.receiveBuffers) {
            let connection = queues.starvedConnections.removeFirst()
            if connection >= 0 { continueReceiving(connection) }
        }
        for _ in 0..<min(queues.starvedSessions.count, DataPlaneLimits.sessionBuffers) {
            let session = queues.starvedSessions.removeFirst()
            if session >= 0 { armSessionReceive(session) }
        }
    }

    /// Tells the process what lies in blocks here, and hears what it is altogether.
    @_noLocks
    private mutating func accountBlocks() {
        let change = pool.inUse - memory.blocksReported
        let blocks = books.blocks(addingHere: change)
        if change != 0 {
            memory.blocksReported = pool.inUse
            books.set(.blocksInUse, to: pool.inUse)
            books.set(.keptBlocks, to: memory.keptBlocks)
        }
        let bytes = blocks * BlockPool.blockBytes
        if bytes > limits.bufferBytes / 2 || memory.isScarce { weigh(bytes) }
        if bytes > limits.bufferBytes {
            memory.isOverLimit = true
            let excess = bytes - memory.closingBytes - limits.waitingBytes
            if excess > 0, pool.inUse * limits.reactors > blocks / 2 { resetStalled(excess) }
        } else if memory.isOverLimit, bytes < limits.bufferBytes / 8 * 7 {
            memory.isOverLimit = false
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
            } else if node == acceptTimer {
                resumeAccept()
            } else {
                lookForUntoldEnds()
            }
        }
    }
}
