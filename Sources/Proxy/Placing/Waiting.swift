import Memory

/// Clients of this reactor that wait, and what waits in the whole process.
struct Waiting: ~Copyable {
    /// Connections that wait for a route, oldest first.
    var forRoute = IndexList()
    /// How many wait for a session, in the lists of the sessions.
    var forSessions = 0
    let clients: HoldShares
    let bytes: HoldShares

    init(_ plane: Plane) {
        clients = plane.waitingClients
        bytes = plane.waitingBytes
    }

    /// One that is counted is counted elsewhere.
    @_noLocks
    func move(bytes count: Int, from before: Int, to after: Int, listener: Int) {
        assert(before != after && count >= 0, "rule 22: who is counted elsewhere was counted here")
        leave(bytes: count, place: before, listener: listener)
        clients.enterAgain(1, place: after, listener: listener)
        bytes.enterAgain(UInt64(count), place: after, listener: listener)
    }

    /// One that was counted waits no more.
    @_noLocks
    func leave(bytes count: Int, place: Int, listener: Int) {
        clients.leave(1, place: place, listener: listener)
        if count > 0 { bytes.leave(UInt64(count), place: place, listener: listener) }
    }
}
