import Memory
import Reactor
import Synchronization

/// What a reactor tells the control thread and the others: its figures, and what has become of its sessions and of its
/// listeners. It alone writes these words, but for the sums of the process.
struct Books: ~Copyable {
    private let totals: SharedWords
    private let counters: SharedWords
    private let listenerCounters: SharedWords
    private let routes: RouteTable
    private let sessionWords: SharedWords
    private let sessionTallies: SharedWords
    private let sessionFigures: SharedWords
    private let listenerWords: SharedWords
    private let finished: SharedWords
    private let controlBell: ControlBell
    /// Makes it a value with an address, as `Worker` is one: a call would copy all of it.
    private let place = Atomic<UInt8>(0)
    /// When the control thread last heard that something failed.
    private var failureToldAt: UInt64 = 0

    init(_ plane: Plane, reactor: Int) {
        let peer = plane.peers[reactor]
        totals = plane.totals
        counters = peer.counters
        listenerCounters = peer.listenerCounters
        routes = RouteTable(peer.routeCounters)
        sessionWords = peer.sessionWords
        sessionTallies = peer.sessionTallies
        sessionFigures = peer.sessionFigures
        listenerWords = peer.listenerWords
        finished = peer.finished
        controlBell = plane.controlBell
    }

    // MARK: figures

    @_noLocks @inline(__always)
    func bump(_ counter: Counter, by amount: UInt64 = 1) {
        counters.increase(counter.place, by: amount)
    }

    @_noLocks @inline(__always)
    func set(_ counter: Counter, to value: Int) {
        counters.storeRelaxed(UInt64(truncatingIfNeeded: value), at: counter.place)
    }

    @_noLocks
    func value(of counter: Counter) -> Int { Int(truncatingIfNeeded: counters.loadRelaxed(counter.place)) }

    /// Adds to a figure of a listener's slot.
    @_noLocks
    func bump(_ counter: ListenerCounter, ofSlot slot: Int) {
        listenerCounters.increase(slot * ListenerCounter.stride + counter.place, by: 1)
    }

    /// The figures of a route's slot.
    @_noLocks @inline(__always)
    func route(_ slot: UInt16) -> RouteWords { routes.route(slot) }

    // MARK: sums of the process

    /// One connection more. False, and it is not counted: there are as many as there may be.
    @_noLocks
    func addConnection(limit: Int) -> Bool {
        guard Int(truncatingIfNeeded: totals.add(1, at: Plane.Total.connections.place)) > limit else { return true }
        removeConnection()
        return false
    }

    @_noLocks
    func removeConnection() { _ = totals.subtract(1, at: Plane.Total.connections.place) }

    /// Blocks in use in the whole process, when this reactor has so many more than it last told.
    @_noLocks @inline(__always)
    func blocks(addingHere change: Int) -> Int {
        let place = Plane.Total.blocks.place
        guard change != 0 else { return Int(truncatingIfNeeded: totals.loadRelaxed(place)) }
        return Int(truncatingIfNeeded: totals.add(UInt64(bitPattern: Int64(change)), at: place))
    }

    // MARK: news for the control thread

    /// What has become of a session, for all who may ask.
    @_noLocks
    func report(_ word: UInt64, ofSession session: Int32) {
        sessionWords.store(word, at: Int(session))
        controlBell.ring()
    }

    /// The session's slot can be given out again.
    @_noLocks
    func release(session: Int32) {
        let gone = sessionWords.load(Int(session))
        assert(gone & 0xFF == SessionWord.gone, "rule 4: a slot is given out again when its session is gone")
        report(gone & ~0xFF | SessionWord.released, ofSession: session)
    }

    /// Before the word that says that the session is gone, or draining.
    @_noLocks
    func store(_ tally: SessionTally, ofSession session: Int32) {
        sessionTallies.store(tally.word, at: Int(session))
    }

    /// How a session is, for whoever looks.
    @_noLocks
    func tell(streams: Int32, roundTripMicroseconds: UInt32, ofSession session: Int32) {
        let word = SessionFigures.word(streams: streams, roundTripMicroseconds: roundTripMicroseconds)
        sessionFigures.storeRelaxed(word, at: Int(session))
    }

    /// The listener has been closed.
    @_noLocks
    func reportClosed(listener: Int32, generation: UInt32) {
        listenerWords.store(UInt64(generation), at: Int(listener))
        controlBell.ring()
    }

    /// The control thread looks at the figures, and goes on looking for as long as there is news.
    @_noLocks
    mutating func ringOnceASecond(now: UInt64) {
        guard now >= failureToldAt + 1_000 else { return }
        failureToldAt = now
        controlBell.ring()
    }

    /// The reactor has nothing left to do.
    func reportFinished() {
        guard finished.load(0) == 0 else { return }
        finished.store(1, at: 0)
        controlBell.ring()
    }
}

extension Counter {
    /// Without the generic accessor of raw values, which debug builds do not inline.
    var place: Int {
        @_noLocks get { Int(unsafe unsafeBitCast(self, to: UInt8.self)) }
    }
}

extension Plane.Total {
    /// The same.
    var place: Int {
        @_noLocks get { Int(unsafe unsafeBitCast(self, to: UInt8.self)) }
    }
}
