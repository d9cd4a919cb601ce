import Memory
import Routing

// A route whose service is stuck has all the places where clients wait, and another one's is restarted: some of the
// many give way to the few.
extension Worker {
    /// Has so much more wait for the connection's route, if it may, or if a route that has more waiting gives way.
    /// - Parameter why: what a client of that other route is told.
    @_noLocks
    mutating func enter(
        _ connection: Int32, _ amount: UInt64, _ shares: HoldShares, place: Int, _ why: ListenerCounter
    ) -> Bool {
        let listener = Int(connections[connection].client.listener)
        for _ in 0..<Self.mostToGiveWay {
            let anyListener: Bool
            switch shares.enter(amount, place: place, listener: listener, isOnly: snapshot.routeCount <= 1) {
            case .admitted: return true
            case .routeFull: return false
            case .listenerFull: anyListener = false
            case .processFull: anyListener = true
            }
            let other = largest(than: shares.onRoute(place) + amount, shares, anyListener ? -1 : listener, connection)
            guard other >= 0 else { return false }
            turnAway(other, why)
        }
        return false
    }

    /// For one that comes, so many go at most: they may have said less than it has.
    private static var mostToGiveWay: Int { @_noLocks get { 16 } }
    /// How many of those that wait are looked at.
    private static var waitingLookedAt: Int { @_noLocks get { 256 } }

    /// One of the clients that wait here whose route has most waiting, if that is more than so much; else -1.
    /// - Parameter listener: where it waits, or -1.
    private func largest(than amount: UInt64, _ shares: HoldShares, _ listener: Int, _ besides: Int32) -> Int32 {
        var best = Int32(-1)
        var most = amount
        look(along: waiting.forRoute, shares, listener, besides, &best, &most)
        guard best < 0, waiting.forSessions > 0 else { return best }
        for session in 0..<Int32(limits.sessions) where !sessions[session].waiters.isEmpty {
            look(along: sessions[session].waiters.openers, shares, listener, besides, &best, &most)
            look(along: sessions[session].waiters.doubtful, shares, listener, besides, &best, &most)
        }
        return best
    }

    private func look(
        along list: IndexList, _ shares: HoldShares, _ listener: Int, _ besides: Int32,
        _ best: inout Int32, _ most: inout UInt64
    ) {
        var connection = list.first
        var left = Self.waitingLookedAt
        while connection >= 0, left > 0 {
            left -= 1
            let isThere = listener < 0 || Int(connections[connection].client.listener) == listener
            if isThere, connection != besides, exchanges[connection].countsAsWaiting {
                let amount = shares.onRoute(sharePlace(connection))
                if amount > most {
                    most = amount
                    best = connection
                }
            }
            connection = connectionLinks.next(of: connection)
        }
    }
}
