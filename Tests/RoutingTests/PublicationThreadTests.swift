import Glibc
import Routing
import Synchronization
import Testing

/// One reactor as far as snapshots are concerned: works, sleeps, wakes up.
private final class FakeReactor: Sendable {
    let index: Int
    let mailbox: SnapshotMailbox
    let shallStop: Atomic<Bool> = .init(false)
    let wakeUps: Atomic<Int> = .init(0)
    let turns: Atomic<Int> = .init(0)
    let sleeps: Atomic<Int> = .init(0)
    let mistakes: Atomic<Int> = .init(0)
    let lastGeneration: Atomic<UInt64> = .init(0)

    init(index: Int, mailbox: SnapshotMailbox) {
        self.index = index
        self.mailbox = mailbox
    }

    func run() {
        var previous: UInt64 = 0
        while !shallStop.load(ordering: .acquiring) {
            let wakeUpsBefore = wakeUps.load(ordering: .sequentiallyConsistent)
            var snapshot = mailbox.beginTurn()
            check(snapshot, previous: previous)
            // In the middle of a turn, as for a client that another reactor has handed over.
            let begun = snapshot.generation
            snapshot = mailbox.continueTurn()
            check(snapshot, previous: begun)
            previous = snapshot.generation
            lastGeneration.store(previous, ordering: .releasing)
            mailbox.endTurn()
            turns.wrappingAdd(1, ordering: .relaxed)
            if mailbox.prepareSleep() {
                sleeps.wrappingAdd(1, ordering: .relaxed)
                // The wait ends with a wake-up and with nothing else: a lost one is never made up for.
                while wakeUps.load(ordering: .sequentiallyConsistent) == wakeUpsBefore {
                    sched_yield()
                }
            }
        }
        mailbox.leave()
    }

    /// Each table says its generation in every corner, so that a table that was freed and used again gives itself away.
    private func check(_ snapshot: Snapshot, previous: UInt64) {
        let generation = snapshot.generation
        var isRight = generation >= previous
        for id in UInt32(0)..<20 {
            let route = snapshot.route(withID: id)
            isRight = isRight && route >= 0 && snapshot.route(route).sessionCount == 2
            guard isRight else { break }
            let handle = snapshot.session(route, 1)
            isRight = handle.generation == UInt32(generation & 0xff_ffff) && handle.index == Int(id)
        }
        if !isRight {
            mistakes.wrappingAdd(1, ordering: .relaxed)
        }
    }
}

private func table(_ generation: UInt64) -> Snapshot {
    let routes = (UInt32(0)..<20).map { id in
        let sessions = [0, 1].map {
            SessionHandle(reactor: $0, index: Int(id), generation: UInt32(generation & 0xff_ffff))
        }
        return RouteDefinition(
            id: id, kind: .http(domainSuffix: "h\(id)", pathPrefix: "/"), sessions: sessions, reuseStreams: false)
    }
    return SnapshotBuilder.build(
        generation: generation, listeners: [.init(index: 0, routes: routes)], hashSeed: generation)
}

private func start(_ reactor: FakeReactor) -> pthread_t {
    var thread = pthread_t()
    let argument = unsafe Unmanaged.passRetained(reactor).toOpaque()
    let status = unsafe pthread_create(
        &thread, nil,
        { argument in
            unsafe Unmanaged<FakeReactor>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }, argument)
    precondition(status == 0)
    return thread
}

/// The threads sleep for real, so that every publication has to reach them; sanitizers see every access.
@Test(arguments: [1, 3])
func `threads see every publication in order, wake up for it, and never read what was freed`(count: Int) {
    let publications: UInt64 = 2_000
    var publisher = SnapshotPublisher(reactors: count, first: table(1))
    let reactors = publisher.mailboxes.enumerated().map { FakeReactor(index: $0, mailbox: $1) }
    let threads = reactors.map { start($0) }
    func wake(_ reactor: Int) {
        reactors[reactor].wakeUps.wrappingAdd(1, ordering: .sequentiallyConsistent)
    }
    let deadline = ContinuousClock.now + .seconds(120)
    for generation in 2...publications {
        for sleeper in publisher.publish(table(generation)) {
            wake(sleeper)
        }
        // Now and then everybody has to arrive, with no more help than the wake-ups there were.
        guard generation % 10 == 0 else { continue }
        while reactors.contains(where: { $0.lastGeneration.load(ordering: .acquiring) < generation }) {
            guard ContinuousClock.now < deadline else {
                Issue.record("a publication was slept through at generation \(generation)")
                break
            }
            sched_yield()
        }
    }
    for (index, reactor) in reactors.enumerated() {
        reactor.shallStop.store(true, ordering: .releasing)
        wake(index)
    }
    for thread in threads {
        pthread_join(thread, nil)
    }
    for reactor in reactors {
        #expect(reactor.mistakes.load(ordering: .relaxed) == 0)
        #expect(reactor.lastGeneration.load(ordering: .relaxed) == publications)
        #expect(reactor.sleeps.load(ordering: .relaxed) > 0)
    }
    #expect(publisher.reclaim() == 0)
}
