import Exchanges
import Memory
import Reactor
import TLS
import Yamux

// What holds at the end of each turn, by the numbers of the rules in the README. Debug builds, sanitized ones and the
// tests look; release builds do not.
extension Worker {
    func checkInvariants() {
        #if DEBUG
        checkTurn()
        var sums = Sums()
        for connection in 0..<Int32(connections.touched) where connections.isTaken(connection) {
            checkConnection(connection)
            sums.add(connections[connection], exchanges[connection], isLinked: connectionLinks.isLinked(connection))
        }
        for stream in 0..<Int32(streams.touched) where streams.isTaken(stream) { checkStream(stream) }
        for session in 0..<Int32(limits.sessions) { checkSession(session, &sums) }
        table.checkInvariants()
        checkSums(sums)
        #endif
    }

    private func checkTurn() {
        assert(!drainsInTurn, "rule 3: what has arrived when the program is to end is served in that turn")
        assert(queues.ended.isEmpty, "rule 4: slots of connections that have ended are free at the end of the turn")
    }

    /// In this turn.
    var buffersGivenBack: UInt32 { @_noLocks get { clientBuffers.unpublished &+ sessionBuffers.unpublished } }

    @_noLocks @inline(__always)
    func checkBuffer(of completion: Completion, before: UInt32) {
        let isGivenBack = buffersGivenBack &- before == (completion.buffer < 0 ? 0 : 1)
        assert(isGivenBack, "rule 1: whoever gets a buffer gives it back before it has done with the completion")
    }

    /// Bytes that pass through have just got blocks.
    @_noLocks @inline(__always)
    func checkSparedBlocks() {
        let left = pool.capacity - pool.inUse
        assert(left >= limits.sparedBlocks, "rule 10: what passes through leaves the blocks that are spared")
    }

    // MARK: connections

    private func checkConnection(_ connection: Int32) {
        let record = connections[connection]
        let isAwaited = record.isInKernel
        guard !record.isClosing else {
            return assert(isAwaited, "rule 4: a connection is closed as soon as the kernel holds nothing of it")
        }
        let exchange = exchanges[connection]
        checkProgress(connection, record, isAwaited: isAwaited)
        checkBytes(connection, record)
        checkWait(connection, exchange)
        checkExchange(connection, exchange)
        checkMeasure(connection, exchange)
    }

    /// Something of the client is awaited from the kernel, or it stands in a queue of this thread, or a clock runs.
    private func checkProgress(_ connection: Int32, _ record: Connection, isAwaited: Bool) {
        let hasClock = timers.isScheduled(connection)
        assert(isAwaited || isQueued(connection) || hasClock, "rule 5: nothing would ever end the connection")
        if case .relay = record.client.mode, !record.isHandingOver {
            let isNoticed = isReceiving(record) || record.isPolling || isQueued(connection)
            assert(isNoticed, "rule 5: a client that vanishes is noticed")
        }
        if queues.starvedConnections.contains(connection) {
            assert(!isReceiving(record), "rule 2: nobody else arms a receive that has found no buffer")
        }
        assert(exchanges[connection].state.lastProgress <= now, "rule 6: progress was made, and is not to come")
    }

    private func checkBytes(_ connection: Int32, _ record: Connection) {
        if record.hasUnsent, !record.isShaking {
            let isUnderWay = record.isSending || queues.dirtyConnections.contains(connection)
            assert(isUnderWay, "rule 12: what is to be sent is under way, or goes out with the next turn")
        }
        assert(record.hasUnsent || !record.isSending, "rule 12: what is under send has not been sent")
        if !record.client.tls.exists {
            assert(record.sealed.isEmpty && record.sealedBytes == 0, "rule 13: who speaks plain has no records")
        }
        if record.pipe >= 0 {
            let inPipe = pipes.bytes(in: record.pipe)
            assert(inPipe > 0, "rule 14: an empty pipe is given back at once")
            let behind = behindPipes[record.pipe].count
            assert(record.pipedBytes == inPipe + behind, "rule 14: what lies in the pipe and behind it is counted")
            assert(!record.client.tls.exists, "rule 14: what is sealed goes through no pipe")
        } else {
            assert(record.pipedBytes == 0, "rule 14: what lies in the pipe and behind it is counted")
        }
    }

    private func checkWait(_ connection: Int32, _ exchange: Exchange) {
        guard isWaiting(connection) else {
            return assert(
                !exchange.countsAsWaiting && (!exchange.isPatient || patience[connection].waitingBytes == 0),
                "rule 22: who does not wait is not counted")
        }
        assert(
            connectionLinks.isLinked(connection) && timers.isScheduled(connection), "rule 5: a wait has an end")
        assert(exchange.countsAsWaiting && hasWaited(connection), "rule 22: who waits is counted")
        assert(
            patience[connection].waitingBytes <= connections[connection].received.count,
            "rule 22: only bytes that wait are counted")
        assert(!exchange.half.exists, "rule 21: who waits for a session has no stream")
    }

    private func checkExchange(_ connection: Int32, _ exchange: Exchange) {
        assert(
            exchange.state.isKept || exchange.kept.isEmpty,
            "rule 20: what is kept is all that was passed on, or nothing")
        if case .skipped = exchange.state.request {
            assert(!exchange.half.exists, "rule 7: what is left of a request is skipped when its reply is whole")
        }
        guard exchange.half.exists else {
            assert(exchange.owedCredit == 0, "rule 18: credit is owed to a stream")
            return assert(!connections[connection].isQueuedToSplice, "rule 16: who has no stream splices nothing")
        }
        if exchange.stream >= 0 { checkStreamHalf(connection, exchange.stream) }
    }

    private func checkMeasure(_ connection: Int32, _ exchange: Exchange) {
        if case .nothing = exchange.measure.subject {
            assert(exchange.measure.slot == 0, "rule 31: who is counted nowhere has no slot")
            return assert(!exchange.half.exists, "rule 31: who is served is counted at a route")
        }
        guard case .http = connections[connection].client.mode, case .head = exchange.state.request else { return }
        let isServed = exchange.half.exists || isWaiting(connection) || !exchange.state.isUnanswered
        let isNext = !connections[connection].received.isEmpty || connections[connection].isHandingOver
        assert(isServed || isNext, "rule 31: between two requests nothing is under way")
    }

    private func checkStreamHalf(_ connection: Int32, _ number: Int32) {
        let stream = streams[number]
        assert(stream.connection == connection, "rule 4: a stream and its connection know of each other")
        if case .http = connections[connection].client.mode, stream.state.finSent {
            assert(stream.state.isAcknowledged, "rule 8: a FIN follows the acceptance of its stream")
        }
        switch stream.use {
        case .serving: assert(!unusedLinks.isLinked(number), "rule 23: who serves is not among the unused")
        case .takenBack: assert(unusedLinks.isLinked(number), "rule 23: what is taken back has a barrier")
        case .idle, .lingering: assertionFailure("rule 23: an idle stream, and one that lingers, serves nobody")
        }
    }

    private func isReceiving(_ record: Connection) -> Bool {
        if case .idle = record.receive { return false }
        return true
    }

    private func isQueued(_ connection: Int32) -> Bool {
        queues.contain(connection: connection) || connectionLinks.isLinked(connection)
    }

    // MARK: streams and sessions

    /// A stream serves somebody, or it stands where the session's tick ends it.
    private func checkStream(_ stream: Int32) {
        let record = streams[stream]
        assert(streamLinks.isLinked(stream), "rule 24: a stream is in its session's list")
        let found = table.find(session: record.session, id: record.state.id, in: streams)
        assert(found == stream, "rule 11: a stream is found by its id, and nobody else is")
        if case .live = sessions[record.session].phase {
        } else {
            assertionFailure("rule 24: a session ends with its streams")
        }
        if record.connection >= 0 {
            assert(connections.isTaken(record.connection), "rule 4: a stream serves a connection that there is")
            assert(!connections[record.connection].isClosing, "rule 4: who has gone has left its stream")
        } else {
            assert(unusedLinks.isLinked(stream), "rule 5: a stream without a client is about to end, or idle")
        }
    }

    private func checkSession(_ session: Int32, _ sums: inout Sums) {
        switch sessions[session].phase {
        case .free: checkFreeSession(session)
        case .ending:
            let isAwaited =
                sessions[session].reading.isReceiving || sessions[session].reading.isPolling
                || sessions[session].egress.isSending
            assert(isAwaited, "rule 4: a session ends with its last operation")
            assert(sessions[session].streams.isEmpty, "rule 24: a session ends with its streams")
        case .live:
            checkReading(session)
            checkWriting(session)
            checkStreams(of: session)
            checkThoseWho(waitFor: session)
            sums.add(sessions[session])
        }
    }

    /// Nobody has written to it since.
    private func checkFreeSession(_ session: Int32) {
        let record = sessions[session]
        let isWaitedFor = !record.waiters.isEmpty || !record.egress.ready.isEmpty || !record.egress.bulk.isEmpty
        let isFree =
            record.fd == -1 && record.generation == 0 && record.egress.written == 0 && record.egress.isEmpty
        assert(
            isFree && !isWaitedFor && record.streams.isEmpty && record.streams.unusedCount == 0,
            "rule 4: nobody writes to a slot that is free")
    }

    /// A session is always read, and looked at once a second.
    private func checkReading(_ session: Int32) {
        let record = sessions[session]
        let isQueued = queues.splicingReaders.contains(session) || queues.starvedSessions.contains(session)
        assert(record.reading.isReceiving || record.reading.isPolling || isQueued, "rule 17: a session is always read")
        if queues.starvedSessions.contains(session) {
            assert(!record.reading.isReceiving, "rule 2: nobody else arms a receive that has found no buffer")
        }
        assert(timers.isScheduled(timer(ofSession: session)), "rule 5: a session has a tick")
        if record.reading.stream >= 0 {
            let isOurs = streams.isTaken(record.reading.stream) && streams[record.reading.stream].session == session
            assert(isOurs, "rule 24: a payload belongs to a stream of its session")
        }
    }

    private func checkWriting(_ session: Int32) {
        let record = sessions[session]
        assert(record.egress.lateBytes <= record.egress.frames.count, "rule 19: what is late lies with what waits")
        if record.egress.hasUrgent, record.egress.isAnnounced {
            let isUnderWay = record.egress.isSending || queues.dirtySessions.contains(session)
            assert(isUnderWay, "rule 12: what is to be sent is under way, or goes out with the next turn")
        }
        if record.egress.framePipe >= 0 {
            assert(
                record.egress.isSending || queues.dirtySessions.contains(session),
                "rule 15: a frame that has begun is finished")
        } else {
            assert(record.egress.frameOwner < 0, "rule 15: a frame that has begun has a pipe")
        }
        if record.egress.frameOwner >= 0 {
            let stream =
                connections.isTaken(record.egress.frameOwner) ? exchanges[record.egress.frameOwner].stream : -1
            assert(stream >= 0 && streams[stream].session == session, "rule 15: who has gone has left its frame")
        }
    }

    /// Its list has all of them, and the sums that it keeps are theirs.
    private func checkStreams(of session: Int32) {
        var (count, paced, suspects) = (Int32(0), UInt32(0), UInt32(0))
        var stream = sessions[session].streams.all.first
        while stream >= 0 {
            assert(streams[stream].session == session, "rule 24: a stream is in its session's list")
            count += 1
            if streams[stream].isPaced { paced += 1 }
            if streams[stream].isSuspect { suspects += 1 }
            stream = streamLinks.next(of: stream)
        }
        assert(count == sessions[session].streams.all.count, "rule 24: a session's list has all of its streams")
        let areCounted = paced == sessions[session].pace.streams && suspects == sessions[session].standing.suspects
        assert(areCounted, "rule 25: streams that are paced, or may kill, are counted until they are answered")
        checkUnused(sessions[session].streams.idle, "rule 23: an idle stream waits for its next request") {
            $0.isIdle && $0.connection < 0
        }
        checkUnused(sessions[session].streams.takenBack, "rule 23: what is taken back has a barrier") { $0.isTakenBack }
        checkUnused(sessions[session].streams.lingering, "rule 23: a stream that lingers serves nobody") {
            if case .lingering = $0.use { return $0.connection < 0 }
            return false
        }
    }

    private func checkUnused(_ list: IndexList, _ rule: StaticString, _ belongs: (Stream) -> Bool) {
        var stream = list.first
        while stream >= 0 {
            assert(belongs(streams[stream]), "\(rule)")
            stream = unusedLinks.next(of: stream)
        }
    }

    private func checkThoseWho(waitFor session: Int32) {
        checkWaiters(sessions[session].waiters.openers, session, areDoubtful: false)
        checkWaiters(sessions[session].waiters.doubtful, session, areDoubtful: true)
        checkServed(sessions[session].egress.ready, session, areQueuedToSplice: false)
        checkServed(sessions[session].egress.bulk, session, areQueuedToSplice: true)
    }

    private func checkWaiters(_ list: IndexList, _ session: Int32, areDoubtful: Bool) {
        var connection = list.first
        while connection >= 0 {
            let exchange = exchanges[connection]
            if case .session = exchange.wait {
            } else {
                assertionFailure("rule 21: whoever stands with a session waits for it")
            }
            assert(exchange.session == session, "rule 21: whoever stands with a session waits for it")
            assert(
                exchange.state.past.attempts.areDoubtful == areDoubtful,
                "rule 21: doubtful attempts stand behind all others")
            connection = connectionLinks.next(of: connection)
        }
    }

    private func checkServed(_ list: IndexList, _ session: Int32, areQueuedToSplice: Bool) {
        var connection = list.first
        while connection >= 0 {
            let exchange = exchanges[connection]
            assert(
                connections[connection].isQueuedToSplice == areQueuedToSplice,
                "rule 16: bulk stands in a list of its own")
            let isServed = exchange.stream >= 0 && streams[exchange.stream].session == session
            assert(isServed, "rule 16: who has bytes for a session is served by it")
            connection = connectionLinks.next(of: connection)
        }
    }

    // MARK: sums

    /// What the worker counts, counted anew.
    private struct Sums {
        var shaking = Int32(0)
        var waitForRoute = Int32(0)
        var waitForSession = 0
        var linked = Int32(0)
        var inLists = Int32(0)
        var closingBytes = 0
        var keptBlocks = 0
        var pipes = 0
        var drainingSessions = 0
        var extraCredit = 0

        mutating func add(_ record: Connection, _ exchange: Exchange, isLinked: Bool) {
            if isLinked { linked += 1 }
            if record.isShaking, record.client.tls.exists { shaking += 1 }
            switch exchange.wait {
            case .none: break
            case .route: waitForRoute += 1
            case .session: waitForSession += 1
            }
            if record.isClosing { closingBytes += record.outgoing.count + record.sealed.count }
            keptBlocks += Worker.blocks(exchange.kept.count)
            if record.pipe >= 0 { pipes += 1 }
        }

        mutating func add(_ session: Session) {
            inLists +=
                session.waiters.openers.count + session.waiters.doubtful.count + session.egress.ready.count
                + session.egress.bulk.count
            if session.egress.framePipe >= 0 { pipes += 1 }
            if session.isDraining { drainingSessions += 1 }
            extraCredit += Int(session.extraCredit)
        }
    }

    private func checkSums(_ sums: Sums) {
        assert(sums.shaking == shaking.count, "rule 27: who shakes hands stands in the list of those")
        assert(
            sums.waitForRoute == waiting.forRoute.count, "rule 21: who waits for a route stands in the list of those")
        assert(sums.waitForSession == waiting.forSessions, "rule 21: who waits for a session is counted")
        let inLists = sums.inLists + waiting.forRoute.count + shaking.count
        assert(sums.linked == inLists, "rule 21: a connection stands in one list, and that is known")
        assert(sums.closingBytes == memory.closingBytes, "rule 26: bytes of those that are closing are counted")
        assert(sums.keptBlocks == memory.keptBlocks, "rule 20: blocks in which bytes are kept are counted")
        assert(sums.pipes == pipes.borrowed, "rule 14: who has borrowed a pipe is known")
        assert(sums.drainingSessions == drainingSessions, "rule 9: sessions that have said GoAway are counted")
        assert(sums.extraCredit == memory.extraCredit, "rule 18: credit beyond the first window is counted")
    }
}
