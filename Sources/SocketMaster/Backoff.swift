import struct NIOCore.TimeAmount

/// How long to wait before the next attempt to reach the proxy. Pure: chance is given.
struct Backoff {
    let minimum: TimeAmount
    let maximum: TimeAmount
    private var failures = 0

    /// A session that has lived this long was a success, whatever ended it.
    static let successAfter = TimeAmount.seconds(5)

    init(minimum: TimeAmount, maximum: TimeAmount) {
        self.minimum = max(minimum, .milliseconds(1))
        self.maximum = max(maximum, self.minimum)
    }

    /// The pause after an attempt that failed, or after a session that has ended: at least half of a bound that doubles
    /// each time, so that many services do not come back in the same moment.
    /// - Parameter chance: 0 to 1.
    mutating func next(chance: Double) -> TimeAmount {
        assert(0...1 ~= chance, "chance is a part of one")
        let doublings = min(failures, 20)
        failures += 1
        let (product, overflow) = minimum.nanoseconds.multipliedReportingOverflow(by: 1 << Int64(doublings))
        let bound = overflow ? maximum.nanoseconds : min(product, maximum.nanoseconds)
        return .nanoseconds(bound / 2 + Int64(Double(bound / 2) * chance))
    }

    /// A session has ended. A proxy that drains is replaced at once, unless that has just been tried.
    mutating func sessionEnded(after lifetime: TimeAmount, isDrain: Bool, chance: Double) -> TimeAmount {
        assert(lifetime >= .zero, "a session ends after it has begun")
        if lifetime >= Self.successAfter { failures = 0 }
        if isDrain, failures == 0 {
            failures = 1
            return .zero
        }
        return next(chance: chance)
    }
}
