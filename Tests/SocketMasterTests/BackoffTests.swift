import NIOCore
import Testing

@testable import SocketMaster

@Test func `each failure doubles the pause up to its bound`() {
    var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(1))
    let pauses = (0..<6).map { _ in backoff.next(chance: 1).nanoseconds / 1_000_000 }
    #expect(pauses == [100, 200, 400, 800, 1_000, 1_000])
}

@Test func `half of a pause is chance`() {
    var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(1))
    #expect(backoff.next(chance: 0) == .milliseconds(50))
    #expect(backoff.next(chance: 0.5) == .milliseconds(150))
}

@Test func `a bound below the first pause is raised, and numbers do not overflow`() {
    var backoff = Backoff(minimum: .hours(1_000_000), maximum: .zero)
    for _ in 0..<100 { #expect(backoff.next(chance: 1) == .hours(1_000_000)) }
}

@Test func `a drained session is replaced at once, unless the one before it was too`() {
    var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(1))
    #expect(backoff.sessionEnded(after: .seconds(60), isDrain: true, chance: 1) == .zero)
    #expect(backoff.sessionEnded(after: .milliseconds(1), isDrain: true, chance: 1) > .zero)
    #expect(backoff.sessionEnded(after: .seconds(60), isDrain: true, chance: 1) == .zero)
}

@Test func `a session that has lived begins the count anew`() {
    var backoff = Backoff(minimum: .milliseconds(100), maximum: .seconds(1))
    for _ in 0..<6 { _ = backoff.next(chance: 1) }
    #expect(backoff.sessionEnded(after: .seconds(1), isDrain: false, chance: 1) == .seconds(1))
    #expect(backoff.sessionEnded(after: .seconds(60), isDrain: false, chance: 1) == .milliseconds(100))
}
