import Exchanges
import Memory

/// A client that goes on at another reactor: all that it takes along. Its socket is nobody's meanwhile, and what it has
/// said lies in the sender's blocks until the receiver has read it.
struct HandedOver: BitwiseCopyable, Sendable {
    var client: Client
    var history: ExchangeHistory
    var measure = Measure()
    /// Nil: it has not had to wait.
    var patience: Patience?
    var received: Chain

    @_noLocks
    init(_ client: Client, _ history: ExchangeHistory, received: Chain) {
        self.client = client
        self.history = history
        self.received = received
    }

    static var nobody: HandedOver {
        @_noLocks get {
            HandedOver(
                Client(fd: -1, listener: -1, listenerGeneration: 0), ExchangeHistory(phaseSince: 0), received: Chain())
        }
    }
}

/// The search for the client of all reactors that has been idle for longest, from reactor to reactor.
struct IdleSearch: BitwiseCopyable, Sendable {
    /// The reactor that has the longest idle so far, and since when that is idle; .max: none is.
    var reactor = 0
    var since = UInt64.max
    /// How many reactors have looked.
    var asked = 0

    @_noLocks
    init() {}
}
