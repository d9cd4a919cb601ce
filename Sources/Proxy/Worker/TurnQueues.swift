import Memory

/// Who has to be looked at in this turn or at its end, each at most once in a queue.
struct TurnQueues: ~Copyable {
    /// Those with something to be sent, or to be looked at, at the end of the turn.
    var dirtyConnections: IndexQueue
    var dirtySessions: IndexQueue
    /// Those whose next request may lie aside.
    var servable: IndexQueue
    /// Receives that ran out of buffers.
    var starvedConnections: IndexQueue
    var starvedSessions: IndexQueue
    /// Those whose turn at splicing was over before all was moved: from a session, and to it.
    var splicingReaders: IndexQueue
    var splicingSenders: IndexQueue
    /// Connections that could not be handed over, because a queue was full.
    var postponed: IndexQueue
    /// Connections that have ended in this turn, whose slots are free at its end.
    var ended = IndexList()

    init(connections: Int, sessions: Int) {
        dirtyConnections = IndexQueue(capacity: connections)
        dirtySessions = IndexQueue(capacity: sessions)
        servable = IndexQueue(capacity: connections)
        starvedConnections = IndexQueue(capacity: connections)
        starvedSessions = IndexQueue(capacity: sessions)
        splicingReaders = IndexQueue(capacity: sessions)
        splicingSenders = IndexQueue(capacity: sessions)
        postponed = IndexQueue(capacity: connections)
    }

    /// Something is left for the next turn, which must not wait for the kernel.
    var haveMore: Bool {
        @_noLocks get {
            if !splicingReaders.isEmpty || !splicingSenders.isEmpty { return true }
            if !starvedConnections.isEmpty || !starvedSessions.isEmpty || !postponed.isEmpty { return true }
            // What the end of the turn has marked after its turn to be flushed had passed.
            return !dirtyConnections.isEmpty || !dirtySessions.isEmpty || !servable.isEmpty
        }
    }

    /// The connection's slot is about to be free.
    @_noLocks
    mutating func forget(connection: Int32) {
        dirtyConnections.remove(connection)
        servable.remove(connection)
        starvedConnections.remove(connection)
        postponed.remove(connection)
    }

    /// The session's slot is about to be free.
    @_noLocks
    mutating func forget(session: Int32) {
        dirtySessions.remove(session)
        starvedSessions.remove(session)
        splicingReaders.remove(session)
        splicingSenders.remove(session)
    }

    /// Whether it stands in one of them.
    func contain(connection: Int32) -> Bool {
        dirtyConnections.contains(connection) || servable.contains(connection)
            || starvedConnections.contains(connection) || postponed.contains(connection)
    }
}
