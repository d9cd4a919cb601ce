import Exchanges
import HTTP1
import Memory

// What a service says, of whatever kind it is, for a client that speaks HTTP/1.1, is raw, or has not said enough.
extension Worker {
    /// The service has taken the exchange on. From now on only what may be executed twice can be sent again.
    @_noLocks
    mutating func serviceAccepted(_ connection: Int32) {
        let mode = connections[connection].client.mode
        if exchanges[connection].state.isSettledByAcceptance(as: mode) { dropKept(connection) }
        if case .relay = mode { noteAnswered(connection) }
    }

    /// Bytes of the service. True: some were left, behind the end of a reply.
    @_noLocks
    mutating func deliver(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        assert(exchanges[connection].half.exists, "rule 29: what a service says is for somebody whom it serves")
        exchanges[connection].owedCredit += UInt32(truncatingIfNeeded: bytes.count)
        switch connections[connection].client.mode {
        case .relay:
            unsafe send(connection, bytes)
            return false
        case .http, .undecided: return unsafe deliverReply(connection, bytes)
        }
    }

    private mutating func deliverReply(_ connection: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        while offset < bytes.count, !connections[connection].isClosing, exchanges[connection].half.exists {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset...])
            if case .relay = connections[connection].client.mode {
                unsafe send(connection, rest)
                return false
            }
            switch exchanges[connection].state.reply {
            case .none: return true
            case .head: offset += unsafe takeReplyHead(connection, rest)
            case .body: offset += unsafe takeReplyBody(connection, rest)
            }
        }
        return offset < bytes.count
    }

    /// Bytes of the service have gone into the client's pipe, unseen: bytes of a relay, or of a reply's body.
    @_noLocks
    mutating func deliver(_ connection: Int32, piped count: Int) {
        connections[connection].pipedBytes += count
        noteSent(connection, count)
        exchanges[connection].owedCredit += UInt32(truncatingIfNeeded: count)
        exchanges[connection].state.lastProgress = now
        guard isReplyCounted(connection) else { return emptyPipe(connection) }
        let half = exchanges[connection].half
        let isEnd = exchanges[connection].state.takeReply(counted: count)
        emptyPipe(connection)
        // The client may have vanished by it.
        if isEnd, half.isSame(as: exchanges[connection].half) { finishReply(connection) }
    }

    /// A reply's body ends with its length.
    @_noLocks
    func isReplyCounted(_ connection: Int32) -> Bool {
        guard case .http = connections[connection].client.mode else { return false }
        if case .counted = exchanges[connection].state.replyFraming { return true }
        return false
    }

    /// The service has ended its direction, and all bytes before its end have been passed on.
    @_noLocks
    mutating func serviceFinished(_ connection: Int32) {
        if case .relay = connections[connection].client.mode { return settle(connection) }
        guard exchanges[connection].state.isWholeByServiceEnd else {
            return loseExchange(connection, .reset, isUndelivered: false)
        }
        finishReply(connection)
        settle(connection)
    }
}
