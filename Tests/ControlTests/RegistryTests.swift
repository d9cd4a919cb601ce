import Registration
import Routing
import Testing
import TestSupport

@testable import Control

struct RegistryTests {
    @Test func aRegistrationOpensAListenerWithARoute() {
        var world = World()
        _ = world.register(port: 80, "/a")
        #expect(world.registry.hasChanged)
        #expect(world.published() == ["0 /a": 1])
        #expect(!world.registry.hasChanged)
    }

    @Test func equalRegistrationsShareARoute() {
        var world = World()
        let first = world.register(port: 80)
        let second = world.register(port: 80)
        #expect(first.siblings.isEmpty && second.siblings == [first.handle])
        #expect(world.published() == ["0 /": 2])
        #expect(world.registry.routes.count == 1)
    }

    @Test func rawAndHTTPRegistrationsOfAPortShareItsListener() {
        var world = World()
        _ = world.register(local(80), .raw)
        _ = world.register(local(80), http("/"))
        _ = world.register(local(80), http("/", suffix: "example.com"))
        #expect(world.published() == ["0 raw": 1, "0 /": 1, "0 example.com/": 1])
    }

    @Test func streamsAreReusedIfASessionOfTheRouteWantsIt() {
        var world = World()
        _ = world.register(local(80), http("/a"), reuses: true)
        _ = world.register(local(80), http("/b"), reuses: false)
        let routes = world.registry.takeDefinitions()[0].routes
        #expect(routes.filter { $0.reuseStreams }.count == 1)
    }

    // MARK: holds

    @Test func aRouteThatLosesItsLastSessionIsHeld() {
        var world = World()
        let first = world.register(port: 80)
        let second = world.register(port: 80)
        world.lose(first.handle)
        #expect(world.events.isEmpty)
        #expect(world.published() == ["0 /": 1])
        world.lose(second.handle)
        #expect(world.events == [.held(route: name(80), milliseconds: 30_000)])
        #expect(world.published() == ["0 /": 0])
    }

    @Test func aRegistrationReleasesAHeldRouteAndKeepsItsNumber() {
        var world = World()
        let first = world.register(port: 80)
        let id = world.registry.sessions[first.handle]!.route
        world.lose(first.handle)
        world.pass(29_999)
        let second = world.register(port: 80)
        #expect(second.heldFor == 29_999)
        #expect(world.registry.sessions[second.handle]!.route == id)
        world.pass(100_000)
        #expect(world.published() == ["0 /": 1])
        #expect(world.registry.nextExpiry == nil)
    }

    @Test func aHoldEndsAtItsTimeAndNotBefore() {
        var world = World()
        let session = world.register(port: 80)
        world.lose(session.handle)
        #expect(world.registry.nextExpiry == world.now + 30_000)
        world.pass(29_999)
        #expect(world.published() == ["0 /": 0])
        world.events = []
        world.pass(1)
        #expect(
            world.events == [.expired(route: name(80), milliseconds: 30_000), .close(listener: 0)])
        #expect(world.registry.hasChanged)
        #expect(world.published() == [:])
    }

    @Test func aListenerIsClosedWithItsLastRoute() {
        var world = World()
        let first = world.register(port: 80, "/a")
        world.pass(1_000)
        let second = world.register(port: 80, "/b")
        world.lose(first.handle)
        world.pass(10_000)
        world.lose(second.handle)
        world.events = []
        world.pass(20_000)
        #expect(world.events == [.expired(route: name(80, "/a"), milliseconds: 30_000)])
        world.pass(10_000)
        #expect(world.events.last == .close(listener: 0))
    }

    @Test func withoutAHoldARouteEndsWithItsLastSession() {
        var world = World(hold: 0)
        let session = world.register(port: 80)
        world.lose(session.handle)
        #expect(world.events == [.expired(route: name(80), milliseconds: 0), .close(listener: 0)])
    }

    @Test func aDrainingSessionTakesNoMoreClientsAndHoldsItsRouteOnce() {
        var world = World()
        let session = world.register(port: 80)
        world.events += world.registry.sessionDrains(session.handle, now: world.now)
        world.events += world.registry.sessionDrains(session.handle, now: world.now)
        #expect(world.published() == ["0 /": 0])
        #expect(world.registry.livingSessions == 1)
        world.lose(session.handle)
        #expect(world.events.count == 1)
        #expect(world.registry.livingSessions == 0)
    }

    @Test func aSessionThatOutlivesItsRouteLeavesQuietly() {
        var world = World(hold: 100)
        let session = world.register(port: 80)
        world.events += world.registry.sessionDrains(session.handle, now: world.now)
        world.pass(100)
        #expect(world.events.last == .close(listener: 0))
        world.events = []
        world.lose(session.handle)
        #expect(world.events.isEmpty)
    }

    // MARK: listeners

    @Test func aClosingListenerHasToBeWaitedFor() {
        var world = World(hold: 0)
        let session = world.register(port: 80)
        world.lose(session.handle)
        #expect(world.registry.listener(for: local(80)) == .closing)
        #expect(world.registry.listener(for: PublicAddress(address: .all, port: 80)) == .closing)
        #expect(world.registry.freeListenerSlot() == 1)
        world.registry.listenerIsClosed(0)
        #expect(world.registry.listener(for: local(80)) == .nothing)
        #expect(world.registry.freeListenerSlot() == 0)
    }

    @Test func aListenersSlotHasANewGenerationEachTime() {
        var world = World(hold: 0)
        var generations: [UInt32] = []
        for _ in 0..<5 {
            let session = world.register(port: 80)
            generations.append(world.registry.listeners[0]!.generation)
            world.lose(session.handle)
            world.registry.listenerIsClosed(0)
        }
        #expect(generations == [1, 2, 3, 4, 5])
    }

    @Test func anAddressThatOverlapsAnotherOnItsPortIsToldFromAnEqualOne() {
        var world = World()
        _ = world.register(port: 80)
        #expect(world.registry.listener(for: local(80)) == .open(slot: 0))
        #expect(world.registry.listener(for: PublicAddress(address: .all, port: 80)) == .overlapped(slot: 0))
        #expect(world.registry.listener(for: PublicAddress(address: .ipv4(0), port: 80)) == .overlapped(slot: 0))
        #expect(world.registry.listener(for: PublicAddress(address: .ipv4(0x7f00_0002), port: 80)) == .nothing)
        #expect(world.registry.listener(for: PublicAddress(address: .ipv6(high: 0, low: 1), port: 80)) == .nothing)
        #expect(world.registry.listener(for: PublicAddress(address: .all, port: 81)) == .nothing)
    }

    @Test func listenersAreBounded() {
        var world = World(listeners: 2)
        _ = world.register(port: 80)
        _ = world.register(port: 81)
        #expect(world.registry.freeListenerSlot() == nil)
    }

    // MARK: sessions

    @Test func sessionsOfARouteAreSpreadOverAllReactors() {
        var world = World(reactors: 3)
        let reactors = (0..<6).map { _ in world.register(port: 80).handle.reactor }
        #expect(reactors == [0, 1, 2, 0, 1, 2])
    }

    @Test func sessionsOfManyRoutesAreSpreadOverAllReactors() {
        var world = World(reactors: 2)
        let reactors = (0..<4).map { world.register(port: 80, "/\($0)").handle.reactor }
        #expect(reactors == [0, 1, 0, 1])
    }

    /// The route comes first: two sessions of one service on one reactor would use one core.
    @Test func theRouteDecidesBeforeTheSum() {
        var world = World(reactors: 2)
        _ = world.register(port: 80, "/a")  // on 0
        _ = world.register(port: 80, "/b")  // on 1
        let third = world.register(port: 80, "/c")  // on 0
        #expect(third.handle.reactor == 0)
        let fourth = world.register(port: 80, "/b")
        #expect(fourth.handle.reactor == 0)
    }

    @Test func sessionsAreBoundedAndOneThatIsGoneMakesRoom() {
        var world = World(sessions: 3)
        let sessions = (0..<3).map { _ in world.register(port: 80) }
        #expect(!world.registry.hasRoomForSession)
        _ = world.registry.sessionIsGone(sessions[0].handle, now: world.now)
        #expect(world.registry.hasRoomForSession)
        // Its slot is still in use: another one has to be found.
        let next = world.register(port: 80)
        #expect(next.handle.index != sessions[0].handle.index || next.handle.reactor != sessions[0].handle.reactor)
    }

    @Test func aSessionsSlotHasANewGenerationEachTime() {
        var slots = SessionSlots(capacity: 2)
        let first = slots.take()!
        slots.giveBack(first.index)
        let second = slots.take()!
        #expect(first.index == second.index && second.generation == first.generation + 1)
        #expect(slots.take() != nil && slots.take() == nil && slots.isFull)
    }

    @Test func reportsAboutUnknownSessionsAreIgnored() {
        var world = World()
        let stranger = SessionHandle(reactor: 1, index: 5, generation: 9)
        #expect(world.registry.sessionDrains(stranger, now: 0).isEmpty)
        #expect(world.registry.sessionIsGone(stranger, now: 0).isEmpty)
        world.registry.sessionIsReleased(stranger)
    }
}

/// Random services that come and go, with the registry's own assertions and a simple model beside it.
struct RegistryModelTests {
    @Test(arguments: 0..<8)
    func anySequenceLeavesTheRegistryConsistent(round: Int) {
        let seed = UInt64.random(in: 1...UInt64.max)
        var random = SeededGenerator(seed: seed)
        var world = World(reactors: 1 + round % 4, sessions: 20, listeners: 4, hold: 500)
        var living: [SessionHandle] = []
        var unreleased: [SessionHandle] = []
        var used: Set<SessionHandle> = []
        for step in 0..<2_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0...3:
                let address = local(UInt16.random(in: 80...83, using: &random))
                guard world.registry.hasRoomForSession, world.registry.listener(for: address) != .closing,
                    world.registry.listener(for: address) != .nothing || world.registry.freeListenerSlot() != nil
                else { continue }
                let added = world.register(address, http("/\(Int.random(in: 0..<3, using: &random))"))
                #expect(used.insert(added.handle).inserted, "seed \(seed), step \(step): a handle was given out twice")
                living.append(added.handle)
            case 4, 5:
                guard let handle = living.randomElement(using: &random) else { continue }
                world.events += world.registry.sessionDrains(handle, now: world.now)
            case 6, 7:
                guard let place = living.indices.randomElement(using: &random) else { continue }
                let handle = living.remove(at: place)
                world.events += world.registry.sessionIsGone(handle, now: world.now)
                unreleased.append(handle)
            case 8:
                for handle in unreleased { world.registry.sessionIsReleased(handle) }
                unreleased = []
            default:
                world.pass(UInt64.random(in: 0..<400, using: &random))
                for (slot, _) in world.registry.listeners.closing where Bool.random(using: &random) {
                    world.registry.listenerIsClosed(slot)
                }
            }
            #expect(world.registry.isConsistent, "seed \(seed), step \(step)")
            #expect(world.registry.livingSessions == living.count, "seed \(seed), step \(step)")
        }
        // Everybody leaves: nothing may be left.
        for handle in living { world.lose(handle) }
        for handle in unreleased { world.registry.sessionIsReleased(handle) }
        world.pass(1_000)
        for (slot, _) in world.registry.listeners.closing { world.registry.listenerIsClosed(slot) }
        #expect(world.registry.routes.isEmpty && world.registry.sessions.isEmpty && world.registry.listeners.count == 0)
        #expect(world.published().isEmpty && world.registry.slots.allSatisfy { $0.inUse == 0 })
    }
}
