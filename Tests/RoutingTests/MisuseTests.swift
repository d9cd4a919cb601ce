import Routing
import Testing

// Our own errors trap. Each of these would otherwise become a wrong route or a read of freed memory.

@Test func `two equal routes on one listener trap`() async {
    await #expect(processExitsWith: .failure) {
        withSnapshot([http(1, "a", "/x"), http(2, "b", "/x"), http(3, "a", "/x")]) { _ in }
    }
}

@Test func `two routes with one id trap`() async {
    await #expect(processExitsWith: .failure) {
        withSnapshot([http(1, "a", "/x"), http(1, "b", "/x")]) { _ in }
    }
}

@Test func `a suffix that is not canonical traps`() async {
    await #expect(processExitsWith: .failure) {
        withSnapshot([http(1, "Example.com", "")]) { _ in }
    }
}

@Test func `a generation that does not grow traps`() async {
    await #expect(processExitsWith: .failure) {
        let first = SnapshotBuilder.build(generation: 2, listeners: [], hashSeed: 0)
        var publisher = SnapshotPublisher(reactors: 1, first: first)
        _ = publisher.publish(SnapshotBuilder.build(generation: 2, listeners: [], hashSeed: 0))
    }
}

@Test func `ending a turn in one's sleep traps`() async {
    await #expect(processExitsWith: .failure) {
        let first = SnapshotBuilder.build(generation: 1, listeners: [], hashSeed: 0)
        let publisher = SnapshotPublisher(reactors: 1, first: first)
        publisher.mailboxes[0].endTurn()
    }
}
