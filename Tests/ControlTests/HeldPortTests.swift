import Registration
import Testing

@testable import Control

/// Ports that are held take places that others need.
final class HeldPortTests {
    private var world = World(listeners: 160)

    /// Opens a port and goes, and returns its listener's slot.
    @discardableResult
    private func pass(_ port: UInt16, by peer: String = "127.0.0.1", isNamed: Bool = false) -> Int {
        let added = world.register(local(port), .raw, by: peer, isNamed: isNamed)
        let slot = world.registry.routes[world.registry.sessions[added.handle]!.route]!.listener
        world.lose(added.handle)
        return slot
    }

    private func finishClosing() {
        for (slot, _) in world.registry.listeners.closing { world.registry.listenerIsClosed(slot) }
    }

    private func raw(_ port: UInt16, isNamed: Bool = true) -> RouteName {
        RouteName(pattern: .raw, address: local(port), isNamed: isNamed)
    }

    @Test func aPeerMayLeaveSoManyPortsThatNobodyHasNamed() {
        #expect(world.registry.bounds.unnamedHeld == 10)
        for port in 1_000..<1_010 as Range<UInt16> { pass(port) }
        pass(2_000, by: "10.0.0.1")
        #expect(world.registry.listeners.closing.isEmpty)
        world.now += 5
        world.events = []
        pass(1_010)
        #expect(
            world.events == [
                .held(route: raw(1_010, isNamed: false), milliseconds: 30_000),
                .gaveWay(route: raw(1_000, isNamed: false), milliseconds: 5, .share(peer: "127.0.0.1")),
                .close(listener: 0),
            ])
        #expect(world.registry.heldRoutes.count == 11)
    }

    @Test func aLoopOfPortsThatNobodyHasNamedLeavesRoomForOthers() {
        for port in 1_000..<5_000 as Range<UInt16> {
            pass(port)
            finishClosing()
            #expect(world.registry.listeners.count <= world.registry.bounds.unnamedHeld)
        }
    }

    /// The service that comes back asks for the port that it got, as our client library does.
    @Test func aPortThatIsAskedForAgainIsHeldAsNamedOnesAre() {
        pass(1_000)
        pass(1_000, isNamed: true)
        for port in 1_001..<1_050 as Range<UInt16> { pass(port) }
        #expect(world.registry.listener(for: local(1_000)) == .open(slot: 0))
        #expect(world.registry.listeners[0]?.isNamed == true)
    }

    @Test func aPortWithASessionIsNobodysShare() {
        let session = world.register(local(1_000), .raw, isNamed: false)
        for port in 1_001..<1_050 as Range<UInt16> { pass(port) }
        #expect(world.registry.listeners[0]?.phase == .open)
        world.now += 1
        world.lose(session.handle)
        #expect(world.registry.listeners[0]?.phase == .open)
    }

    // MARK: a full table

    @Test func theLongestHeldPortMakesRoom() {
        for port in 1_000..<1_160 as Range<UInt16> {
            world.now += 1
            pass(port, isNamed: true)
        }
        #expect(world.registry.freeListenerSlot() == nil)
        let events = world.registry.makeRoom(now: world.now) { $0 == 0 }
        // Clients wait at the first one.
        #expect(events == [.gaveWay(route: raw(1_001), milliseconds: 158, .table), .close(listener: 1)])
        finishClosing()
        #expect(world.registry.freeListenerSlot() == 1)
    }

    @Test func whoHasLeftMostMakesRoomAndFirstWithWhatNobodyHasNamed() {
        pass(1_000, by: "one", isNamed: true)
        for port in 1_001..<1_004 as Range<UInt16> { pass(port, by: "two", isNamed: true) }
        world.now += 1
        pass(1_005, by: "three")
        #expect(world.registry.makeRoom(now: world.now) { _ in false }.last == .close(listener: 4))
        #expect(world.registry.makeRoom(now: world.now) { _ in false }.last == .close(listener: 1))
    }

    @Test func portsThatAreInUseMakeNoRoom() {
        let first = world.register(local(1_000), http("/a"))
        _ = world.register(local(1_000), http("/b"))
        world.lose(first.handle)
        #expect(world.registry.makeRoom(now: world.now) { _ in false }.isEmpty)
    }
}
