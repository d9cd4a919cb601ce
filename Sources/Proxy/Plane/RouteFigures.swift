/// Figures of a route, or of several, at a moment.
public struct RouteFigures: Equatable, Sendable {
    var words = [UInt64](repeating: 0, count: RouteCounter.stride)

    public init() {}

    public subscript(counter: RouteCounter) -> UInt64 { words[counter.place] }

    /// How many times each bucket has got; the last one is for those beyond all bounds.
    public subscript(histogram: RouteHistogram) -> ArraySlice<UInt64> {
        words[histogram.place..<(histogram.place + RouteHistogram.bucketCount)]
    }

    public static func += (sum: inout RouteFigures, figures: RouteFigures) {
        for place in sum.words.indices { sum.words[place] &+= figures.words[place] }
    }

    /// Makes the sum of all routes one of clients: who went on waiting for another route is held at both, and has
    /// waited once.
    /// - Parameter held: clients that have had to wait.
    public mutating func countWaits(once held: UInt64) {
        words[RouteCounter.held.place] = held
        words[RouteCounter.waitMoved.place] = 0
    }

    /// Requests that have ended.
    public var ended: UInt64 {
        self[.success] &+ self[.redirection] &+ self[.clientError] &+ self[.serverError] &+ self[.switched]
            &+ self[.abandoned] &+ self[.moved]
    }

    // What is there now. The parts are read one after the other, so an end may be seen without its beginning.

    /// Requests under way, those that wait included.
    public var openRequests: UInt64 { Self.difference(self[.begun], ended) }
    public var openRelays: UInt64 { Self.difference(self[.relays], self[.relaysEnded]) }
    /// Clients that wait for a service.
    public var waiting: UInt64 {
        Self.difference(self[.held], self[.heldTimes].reduce(self[.waitMoved], &+))
    }

    private static func difference(_ begun: UInt64, _ ended: UInt64) -> UInt64 { begun - min(begun, ended) }
}
