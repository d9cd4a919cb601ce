import Exchanges
import HTTP1
import Memory
import Reactor
import Yamux

extension Worker {
    /// Requests that waited for the reply before them are looked at before anything is sent.
    @_noLocks
    mutating func serveServable() {
        while true {
            let connection = queues.servable.removeFirst()
            guard connection >= 0 else { return }
            if isRelayToRoute(connection) { routeRaw(connection) }
            feedReceived(connection)
            settle(connection)
        }
    }

    /// A raw connection that has lost its stream and may have another one.
    @_noLocks
    func isRelayToRoute(_ connection: Int32) -> Bool {
        guard case .relay = connections[connection].client.mode, !exchanges[connection].half.exists else {
            return false
        }
        return !isWaiting(connection) && !connections[connection].isLeaving
    }

    /// The client has sent what may be a whole request, at which nobody has looked.
    @_noLocks
    func hasRequestAside(_ connection: Int32) -> Bool {
        guard case .head = exchanges[connection].state.request else { return false }
        return !connections[connection].received.isEmpty && !connections[connection].isMidHead
    }

    /// Does what has become possible: ends that were waiting for bytes to go out, and the next receive.
    @_noLocks
    mutating func settle(_ connection: Int32) {
        if connections[connection].isClosing { return finishClose(connection) }
        if connections[connection].isHandingOver { return finishHandOver(connection) }
        switch connections[connection].client.mode {
        case .relay: settleRelay(connection)
        case .http: settleHTTP(connection)
        case .undecided: break
        }
        guard !connections[connection].isLeaving else { return }
        continueReceiving(connection)
    }

    @_noLocks
    mutating func settleHTTP(_ connection: Int32) {
        assert(!connections[connection].isLeaving, "rule 4: who has gone is left alone")
        let record = connections[connection]
        if record.clientFinished, !settleClientEnd(connection) { return }
        if connections[connection].closesAfterFlush, !record.sealed.isEmpty { markDirty(connection: connection) }
        guard connections[connection].closesAfterFlush, !record.hasUnsent, !record.isSending else { return }
        guard exchanges[connection].state.isUnanswered else { return }
        // The next request has waited until less was unsent, and nobody has looked at it.
        if hasRequestAside(connection) { return queues.servable.append(connection) }
        guard saysEnd(connection) else { return }
        // A client that says no more needs no time, and neither does one for which all that it lacks is on its way: but
        // a reset in place of the end would make a reply that ends with its connection look cut.
        let mayLinger = record.lingers || exchanges[connection].state.endsByClosing
        guard !record.clientFinished,
            mayLinger || Sockets.unacknowledged(record.client.fd) > DataPlaneLimits.bytesOnTheirWay
        else { return close(connection, reset: false, counting: nil) }
        sayFarewell(connection)
    }

    /// The client says no more. False: so it has left.
    private mutating func settleClientEnd(_ connection: Int32) -> Bool {
        let record = connections[connection]
        switch exchanges[connection].state.clientEnd(isMidHead: record.isMidHead, hasBytes: !record.received.isEmpty) {
        case .goesOn: break
        case .leaves:
            leaveUnserved(connection)
            return false
        case .vanishes:
            clientVanished(connection)
            return false
        case .ends: connections[connection].closeAfterFlush()
        case .passesEnd: passRequestEnd(connection)
        case .passesEndIfNothingIsBehind: if hasNothingBehind(connection) { passRequestEnd(connection) }
        }
        return true
    }

    /// Whether what lies aside, behind which nothing comes, is for no service: empty lines, a part of a head, what is
    /// none, and everything behind a request that ends the connection. What lies behind CONNECT or an upgrade is for
    /// the tunnel.
    @_noLocks @inline(never)
    mutating func hasNothingBehind(_ connection: Int32) -> Bool {
        guard !exchanges[connection].state.isUpgrade, !exchanges[connection].state.isConnect else { return false }
        guard exchanges[connection].state.keepsAlive else { return true }
        let front = unsafe pool.front(of: connections[connection].received)
        var finder = HeadEndFinder()
        var block = connections[connection].received.head
        while block >= 0 {
            guard unsafe finder.advance(pool.bytes(of: block)) < 0 else { break }
            block = pool.next(of: block)
        }
        guard block >= 0 else { return true }
        var bytes = unsafe front
        if finder.byteCount > front.count {
            let count = unsafe pool.copy(connections[connection].received, to: scratch.assembly)
            unsafe bytes = scratch.assembly.first(count)
        }
        if case .complete = unsafe scratch.requestHead.scan(bytes, limits: headLimits) { return false }
        return true
    }

    /// The client has finished and its last request is whole: the service may learn that nobody is there to ask for
    /// more. Not before it has accepted the stream: such a FIN would never be acknowledged, and a stream with one could
    /// not be taken back. Whatever the service still replies is passed on.
    @_noLocks
    mutating func passRequestEnd(_ connection: Int32) {
        assert(connections[connection].clientFinished, "rule 8: only an end that has come is passed on")
        guard isAccepted(connection), canFinish(connection) else { return }
        finish(connection)
    }
}
