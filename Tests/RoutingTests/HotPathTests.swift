import Routing
import Testing

/// Stands for a reactor: what it does with snapshots must pass the compiler's check in every kind of build.
private struct HotReactor: ~Copyable {
    let mailbox: SnapshotMailbox
    let index: Int
    var localSessions = 0

    @_noLocks mutating func route(listener: Int, host: UnsafeRawBufferPointer, path: UnsafeRawBufferPointer) -> UInt64 {
        let snapshot = mailbox.beginTurn()
        var result = SessionHandle.none
        let view = snapshot.listener(listener)
        if view.exists && view.hasHTTP && !view.hasRaw && !view.speaksTLS {
            let index = unsafe snapshot.httpRoute(listener: listener, host: host, path: path)
            if index >= 0 && snapshot.route(withID: snapshot.route(index).id) == index && !snapshot.route(index).isHeld
            {
                localSessions = snapshot.sessions(index, ofReactor: self.index).count
                result = snapshot.session(index, snapshot.route(index).sessionCount - 1)
            }
        } else if snapshot.rawRoute(listener: listener) < 0 {
            result = SessionHandle(reactor: result.reactor - 1, index: result.index, generation: result.generation)
        }
        mailbox.endTurn()
        return result.rawValue
    }
}

@Test func `a reactor routes without allocation, reference count or lock`() {
    let handles = [
        SessionHandle(reactor: 1, index: 5, generation: 2), SessionHandle(reactor: 0, index: 4, generation: 3),
    ]
    let route = RouteDefinition(
        id: 3, kind: .http(domainSuffix: "a", pathPrefix: "/"), sessions: handles, reuseStreams: false)
    let publisher = SnapshotPublisher(
        reactors: 1,
        first: SnapshotBuilder.build(
            generation: 1, listeners: [.init(index: 0, routes: [route])], hashSeed: 3))
    var reactor = HotReactor(mailbox: publisher.mailboxes[0], index: 0)
    let found = unsafe withExactBytes([0x61]) { host in
        unsafe withExactBytes([0x2f]) { path in unsafe reactor.route(listener: 0, host: host, path: path) }
    }
    #expect(found == handles[0].rawValue)
    #expect(reactor.localSessions == 1)
    reactor.mailbox.leave()
}
