import Exchanges
import HTTP1
import Memory
import Routing

// Figures by route: what the control thread sees of each of them, and nobody here reads. A request, and a relay, is
// counted at one route as begun and as ended, once each, wherever it goes meanwhile (rule 31).
extension Worker {
    // MARK: the beginning

    /// The exchange is for this route. It may have been for another one before it was handed over, or while it waited.
    @_noLocks @inline(__always)
    mutating func noteRoute(_ connection: Int32, _ route: Int32, as subject: Measure.Subject) {
        let slot = snapshot.figures(ofRoute: route)
        guard case .nothing = exchanges[connection].measure.subject, !exchanges[connection].isPatient else {
            return noteRouteAgain(connection, slot, subject)
        }
        beginMeasure(connection, slot, subject)
    }

    @_noLocks @inline(__always)
    private mutating func beginMeasure(_ connection: Int32, _ slot: UInt16, _ subject: Measure.Subject) {
        exchanges[connection].measure.slot = slot
        exchanges[connection].measure.subject = subject
        switch subject {
        case .nothing: break
        case .request: books.route(slot).bump(.begun)
        case .relay: books.route(slot).bump(.relays)
        }
    }

    /// Who has waited for another route, or for one that nobody knew, has waited for this one.
    @_noLocks @inline(never)
    private mutating func noteRouteAgain(_ connection: Int32, _ slot: UInt16, _ subject: Measure.Subject) {
        let before = exchanges[connection].measure
        if case .nothing = before.subject {
        } else {
            guard before.slot != slot else { return }
            endMeasure(connection, .moved)
        }
        if hasWaited(connection) { noteWaitMoved(from: before.slot, to: slot) }
        beginMeasure(connection, slot, subject)
    }

    @_noLocks @inline(never)
    private func noteWaitMoved(from before: UInt16, to slot: UInt16) {
        books.route(before).bump(.waitMoved)
        books.route(slot).bump(.held)
    }

    // MARK: on the way

    /// A session gets the exchange.
    @_noLocks @inline(__always)
    mutating func noteGiven(_ connection: Int32) {
        let time = nowMicroseconds &- exchanges[connection].measure.begunAt
        exchanges[connection].measure.givenAfter = UInt32(truncatingIfNeeded: min(time, UInt64(UInt32.max)))
    }

    /// A wait is over.
    @_noLocks
    func noteWaited(since: UInt64, slot: UInt16) {
        let time = (now - min(now, since)) * 1_000
        books.route(slot).note(wait: time)
    }

    /// The head of the final reply has come.
    @_noLocks @inline(never)
    mutating func noteReplyHead(_ connection: Int32, status: UInt16) {
        exchanges[connection].measure.replyClass = UInt8(truncatingIfNeeded: status / 100)
        let measure = exchanges[connection].measure
        let since = measure.begunAt &+ UInt64(measure.givenAfter)
        let time = nowMicroseconds &- min(since, nowMicroseconds)
        books.route(measure.slot).note(request: time, in: .firstBytes)
    }

    /// Bytes for the client have been put behind those that it has to be sent.
    @_noLocks @inline(__always)
    func noteSent(_ connection: Int32, _ count: Int) {
        books.route(exchanges[connection].measure.slot).bump(.bytesOut, by: UInt64(truncatingIfNeeded: count))
    }

    /// Bytes of the client have been passed on, and will not come again from what is kept.
    @_noLocks @inline(__always)
    func notePassed(_ connection: Int32, _ count: Int) {
        books.route(exchanges[connection].measure.slot).bump(.bytesIn, by: UInt64(truncatingIfNeeded: count))
    }

    /// A figure of the connection's listener is one of its route, too.
    @_noLocks @inline(never)
    func countAtRoute(_ counter: ListenerCounter, _ connection: Int32) {
        guard let counter = counter.ofRoute else { return }
        books.route(exchanges[connection].measure.slot).bump(counter)
    }

    // MARK: the end

    /// The request has got the reply that has begun, or a part of it after which the connection ends.
    @_noLocks
    mutating func noteReplied(_ connection: Int32) {
        let measure = exchanges[connection].measure
        guard case .request = measure.subject else { return }
        let time = nowMicroseconds &- min(measure.begunAt, nowMicroseconds)
        let figures = books.route(measure.slot)
        figures.bump(RouteCounter(ofClass: measure.replyClass))
        exchanges[connection].measure = Measure()
        figures.note(request: time, in: .durations)
    }

    /// It has got a reply of ours, whether it has found a route or not.
    @_noLocks
    mutating func noteAnsweredByUs(_ connection: Int32, status: UInt16) {
        // What is still counted is counted at its route.
        dropKept(connection)
        if hasWaited(connection) { endWait(connection) }
        exchanges[connection].measure.replyClass = UInt8(truncatingIfNeeded: status / 100)
        guard case .nothing = exchanges[connection].measure.subject else { return noteReplied(connection) }
        books.route(0).bump(RouteCounter(ofClass: exchanges[connection].measure.replyClass))
        exchanges[connection].measure = Measure()
    }

    /// The request has become a relay, by the reply that has begun. Its time is no request's.
    @_noLocks
    mutating func noteSwitched(_ connection: Int32) {
        let measure = exchanges[connection].measure
        guard case .request = measure.subject else { return }
        let figures = books.route(measure.slot)
        figures.bump(RouteCounter(ofClass: measure.replyClass))
        figures.bump(.relays)
        exchanges[connection].measure.subject = .relay
    }

    /// It is counted as under way.
    @_noLocks @inline(__always)
    func isMeasured(_ connection: Int32) -> Bool {
        if case .nothing = exchanges[connection].measure.subject { return false }
        return true
    }

    /// The connection ends, and whatever was under way on it.
    @_noLocks
    mutating func noteEnded(_ connection: Int32) {
        endMeasure(connection, .abandoned)
        exchanges[connection].measure = Measure()
    }

    private mutating func endMeasure(_ connection: Int32, _ how: RouteCounter) {
        end(exchanges[connection].measure, how)
        exchanges[connection].measure.subject = .nothing
    }

    /// The same for a client that was to go on here, for which there is no room.
    @_noLocks
    func noteRefused(_ client: HandedOver) {
        end(client.measure, .abandoned)
        guard let patience = client.patience, patience.waitedSince > 0 else { return }
        noteWaited(since: patience.waitedSince, slot: client.measure.slot)
    }

    private func end(_ measure: Measure, _ how: RouteCounter) {
        switch measure.subject {
        case .nothing: break
        case .request: books.route(measure.slot).bump(how)
        case .relay: books.route(measure.slot).bump(.relaysEnded)
        }
    }
}
