import Testing

@testable import Routing

private func handle(_ reactor: Int, _ index: Int, _ generation: UInt32 = 0) -> SessionHandle {
    SessionHandle(reactor: reactor, index: index, generation: generation)
}

@Test func `a handle is its three parts`() {
    for (reactor, index, generation) in [(0, 0, 0), (254, Int(UInt32.max), 0xff_ffff), (3, 17, 0x12_3456)] {
        let handle = handle(reactor, index, UInt32(generation))
        #expect(handle.reactor == reactor && handle.index == index && handle.generation == UInt32(generation))
        #expect(SessionHandle(rawValue: handle.rawValue) == handle)
        #expect(handle != .none)
    }
    #expect(MemoryLayout<SessionHandle>.size == 8)
}

@Test func `records keep to the sizes that the layout counts on`() {
    #expect(MemoryLayout<ListenerRecord>.stride == 32)
    #expect(MemoryLayout<DomainRecord>.stride == 28)
    #expect(MemoryLayout<RouteRecord>.stride == 28)
    #expect(MemoryLayout<Snapshot>.size == 8)
}

@Test func `sessions are sorted by reactor and found by it`() {
    let sessions = [handle(2, 9), handle(0, 7), handle(2, 1, 5), handle(254, 0), handle(0, 3), handle(2, 4)]
    let route = RouteDefinition(id: 9, kind: .raw, sessions: sessions, reuseStreams: true)
    withSnapshot([http(1, "", ""), route, http(2, "a", "")]) { snapshot in
        let index = snapshot.rawRoute(listener: 0)
        let view = snapshot.route(index)
        #expect(view.id == 9 && view.isRaw && view.reuseStreams && !view.isHeld && view.sessionCount == 6)
        #expect(snapshot.sessions(index).sorted { $0.rawValue < $1.rawValue } == snapshot.sessions(index))
        #expect(Set(snapshot.sessions(index)) == Set(sessions))
        for (reactor, range) in [(0, 0..<2), (1, 2..<2), (2, 2..<5), (3, 5..<5), (253, 5..<5), (254, 5..<6)] {
            #expect(snapshot.sessions(index, ofReactor: reactor) == range)
            #expect(range.allSatisfy { snapshot.session(index, $0).reactor == reactor })
        }
        let held = snapshot.route(snapshot.route(withID: 1))
        #expect(held.isHeld && !held.isRaw && !held.reuseStreams)
        #expect(snapshot.sessions(snapshot.route(withID: 1), ofReactor: 0).isEmpty)
    }
}

@Test func `listeners say what they are for`() {
    let raw = RouteDefinition(id: 1, kind: .raw, sessions: [], reuseStreams: false)
    let listeners = [
        ListenerDefinition(index: 0, routes: [raw], certificates: 64),
        ListenerDefinition(index: 2, routes: [http(2, "", "")]),
        ListenerDefinition(index: 3, routes: []),
    ]
    withSnapshot(of: listeners) { snapshot in
        func flags(_ index: Int) -> [Bool] {
            let view = snapshot.listener(index)
            return [view.exists, view.hasHTTP, view.hasRaw, view.speaksTLS]
        }
        #expect(flags(0) == [true, false, true, true])
        #expect(flags(1) == [false, false, false, false])
        #expect(flags(2) == [true, true, false, false])
        #expect(flags(3) == [true, false, false, false])
        for index in [-1, 4, .max, .min] {
            #expect(flags(index) == [false, false, false, false])
            #expect(snapshot.rawRoute(listener: index) == -1)
        }
        #expect(snapshot.route(snapshot.rawRoute(listener: 0)).id == 1)
        #expect(snapshot.rawRoute(listener: 2) == -1)
    }
}

@Test func `routes keep their ids over snapshots, and ids that are gone are not found`() {
    let routes = (0..<1_000).map { http(UInt32($0 * 7_919), "h\($0)", "") }
    let before = SnapshotBuilder.build(
        generation: 1, listeners: [.init(index: 0, routes: routes)], hashSeed: 1)
    let after = SnapshotBuilder.build(
        generation: 2,
        listeners: [.init(index: 4, routes: routes[500...].reversed())], hashSeed: 2)
    for route in routes[..<500] {
        #expect(before.route(before.route(withID: route.id)).id == route.id)
        #expect(after.route(withID: route.id) == -1)
    }
    for route in routes[500...] {
        #expect(after.route(after.route(withID: route.id)).id == route.id)
    }
    #expect(before.route(withID: .max) == -1)
    before.deallocate()
    after.deallocate()
}

@Test func `an empty snapshot has nothing and is found by its address`() throws {
    let snapshot = SnapshotBuilder.build(generation: 77, listeners: [], hashSeed: 0)
    let same = try #require(Snapshot(address: snapshot.address))
    #expect(same.generation == 77)
    #expect(same.match("a", "/") == nil)
    #expect(same.route(withID: 0) == -1)
    #expect(!same.listener(0).exists)
    #expect(Snapshot(address: 0) == nil)
    snapshot.deallocate()
}

@Test func `a hundred thousand routes are each found`() {
    // Half of them as domains with one path each, half as paths of one domain.
    let domains = (0..<50_000).map { http(UInt32($0), "service-\($0).example.com", "/") }
    let paths = (50_000..<100_000).map { http(UInt32($0), "example.com", "/service/\($0)/") }
    withSnapshot(domains + paths) { snapshot in
        for number in stride(from: 0, to: 50_000, by: 7) {
            #expect(snapshot.match("www.SERVICE-\(number).example.com", "/x") == UInt32(number))
            #expect(snapshot.match("example.com", "/service/\(50_000 + number)/x") == UInt32(50_000 + number))
        }
        #expect(snapshot.match("service-50000.example.com", "/x") == nil)
        #expect(snapshot.match("service-50000.example.com", "/service/60000/") == 60_000)
    }
}
