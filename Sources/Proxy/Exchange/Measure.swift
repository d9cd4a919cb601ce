/// What is measured of an exchange, for the figures of its route. It goes along to another reactor.
struct Measure: BitwiseCopyable, Sendable {
    /// What the route counts as under way.
    enum Subject: BitwiseCopyable, Sendable {
        case nothing
        case request
        case relay
    }

    /// When the first byte of the head came, by the turn's clock in microseconds; 0: none has come.
    var begunAt: UInt64 = 0
    /// How many microseconds later a service was given the request. The highest value stands for all above it.
    var givenAfter: UInt32 = 0
    /// The slot of the route's figures.
    var slot: UInt16 = 0
    var subject = Subject.nothing
    /// The class of the reply that has begun, the hundreds of its status; 0: none has.
    var replyClass: UInt8 = 0

    @_noLocks
    init() {}

    @_noLocks
    mutating func begin(now: UInt64) {
        if begunAt == 0 { begunAt = now }
    }
}
