import Testing

@testable import Proxy

private func shares(ofRoute: Int = 4, connections: Int = 64) -> HoldShares {
    var limits = DataPlaneLimits()
    limits.holdLimit = ofRoute
    limits.connections = connections
    limits.listeners = 8
    return HoldShares.clients(limits)
}

private func enter(_ shares: HoldShares, _ route: UInt32, listener: Int = 0, isOnly: Bool = false) -> HoldShares.Verdict
{
    let place = HoldShares.place(of: .known(route), listener: listener)
    return shares.enter(1, place: place, listener: listener, isOnly: isOnly)
}

@Suite struct HoldSharesTests {
    @Test func `a route may have its share and no more`() {
        let shares = shares()
        for _ in 0..<4 { #expect(enter(shares, 1) == .admitted) }
        #expect(enter(shares, 1) == .routeFull)
        #expect(enter(shares, 2) == .admitted)
        #expect(shares.onListener(0) == 5)
        #expect(shares.inProcess == 5)
    }

    @Test func `a listener may have what sixteen routes may have, a sixteenth of it for those that have nothing`() {
        let shares = shares(connections: 1_000)
        for route in 0..<UInt32(15) { for _ in 0..<4 { #expect(enter(shares, route) == .admitted) } }
        for route in 15..<UInt32(19) {
            #expect(enter(shares, route) == .admitted)
            #expect(enter(shares, route) == .listenerFull)
        }
        #expect(enter(shares, 19) == .listenerFull)
        #expect(enter(shares, 20, listener: 1) == .admitted)
        #expect(shares.onListener(0) == 64)
    }

    @Test func `an eighth of all connections is left to others, unless there is one route alone`() {
        let shares = shares(ofRoute: 100, connections: 16)
        for _ in 0..<14 { #expect(enter(shares, 1) == .admitted) }
        #expect(enter(shares, 1) == .processFull)
        #expect(enter(shares, 2) == .admitted)
        #expect(enter(shares, 1, isOnly: true) == .admitted)
        #expect(enter(shares, 1, isOnly: true) == .processFull)
        #expect(enter(shares, 3) == .processFull)
        #expect(shares.inProcess == 16)
    }

    @Test func `whoever is not admitted is not counted, and whoever leaves makes room`() {
        let shares = shares()
        let place = HoldShares.place(of: .known(7), listener: 3)
        for _ in 0..<4 { _ = enter(shares, 7, listener: 3) }
        for _ in 0..<9 { #expect(enter(shares, 7, listener: 3) == .routeFull) }
        shares.leave(1, place: place, listener: 3)
        #expect(shares.onRoute(place) == 3)
        #expect(enter(shares, 7, listener: 3) == .admitted)
        shares.enterAgain(1, place: place, listener: 3)
        #expect(shares.onRoute(place) == 5)
        shares.leave(5, place: place, listener: 3)
        #expect(shares.onListener(3) == 0 && shares.inProcess == 0)
    }

    @Test func `what nobody has registered is told apart by listener, and from every route`() {
        let unknown = (0..<8).map { HoldShares.place(of: .unknown, listener: $0) }
        #expect(Set(unknown).count == 8)
        for route in [0, 1, 65_535, 65_536, UInt32.max - 2] {
            #expect(!unknown.contains(HoldShares.place(of: .known(route), listener: 0)))
        }
    }

    @Test func `limits of any size are taken as they are`() {
        let shares = shares(ofRoute: .max, connections: 8)
        for _ in 0..<7 { #expect(enter(shares, 1) == .admitted) }
        #expect(enter(shares, 1) == .processFull)
    }
}
