import Exchanges
import HTTP1
import Memory

// How an exchange ends that has no good end, and what its client is told.
extension Worker {
    /// The reply is none that could be passed on: 502 if nothing of it was, else the connection ends, so that nobody
    /// takes it for complete.
    @_noLocks
    mutating func failExchange(_ connection: Int32, _ why: ListenerCounter) {
        abort(connection)
        if exchanges[connection].state.awaitsReply {
            refuse(connection, why)
        } else {
            cut(connection, counting: .cutBrokenChunks)
        }
    }

    /// The head of the reply is refused.
    @_noLocks
    mutating func failRefused(_ connection: Int32) {
        failExchange(connection, ListenerCounter(refusingReply: scratch.responseHead.refusal.replyCause))
    }

    /// Gives an exchange up that the client or the clock has ended: with a status if nothing of a reply was passed on.
    @_noLocks
    mutating func giveUp(_ connection: Int32, _ why: ListenerCounter) {
        let hasBegun = exchanges[connection].state.hasBegunReply
        abort(connection)
        if hasBegun { cut(connection, counting: why.ofBegunReply) } else { refuse(connection, why) }
    }

    /// Ends a connection in the middle of a reply. Where the length says that bytes are missing a plain end will do,
    /// and what was sent arrives; a reply that ends with its connection can only be cut by a reset.
    @_noLocks
    mutating func cut(_ connection: Int32, counting why: ListenerCounter) {
        count(why, connection)
        noteReplied(connection)
        if exchanges[connection].state.endsByClosing { return cutOff(connection, counting: nil) }
        exchanges[connection].state.endReply()
        // Something is missing: close_notify would say the contrary.
        connections[connection].ownEnd = .said
        discardRest(connection)
        connections[connection].closeAfterFlush()
        settle(connection)
    }

    /// Answers by ourselves and ends the connection; a raw one is just ended.
    @_noLocks
    mutating func refuse(_ connection: Int32, _ why: ListenerCounter) {
        if case .http = connections[connection].client.mode {
            reply(connection, why, close: true)
            abort(connection)
            discard(connection)
        } else {
            close(connection, reset: false, counting: why.ofRaw)
        }
    }

    /// Sends a reply of ours, and counts it.
    @_noLocks
    mutating func reply(_ connection: Int32, _ why: ListenerCounter, close: Bool) {
        var bodyless = false
        if case .head = exchanges[connection].state.method { bodyless = true }
        let status = why.status
        let count = unsafe CannedReply.write(
            status: status, cause: why.replyCause, retryAfterSeconds: status == 503 ? 1 : 0, close: close,
            bodyless: bodyless, date: UnsafeRawBufferPointer(date.bytes), to: scratch.edited)
        unsafe send(connection, scratch.edited.first(count))
        // Who could not even be sent that has been counted as reset.
        guard !connections[connection].isClosing else { return }
        self.count(why, connection)
        noteAnsweredByUs(connection, status: status)
    }
}
