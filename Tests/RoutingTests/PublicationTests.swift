import Routing
import Testing
import TestSupport

private func snapshot(_ generation: UInt64) -> Snapshot {
    SnapshotBuilder.build(generation: generation, listeners: [], hashSeed: 0)
}

@Test func `a reactor that sleeps is woken for a publication, one that works is not`() {
    var publisher = SnapshotPublisher(reactors: 3, first: snapshot(1))
    // Before it begins, a reactor counts as one that sleeps.
    #expect(publisher.publish(snapshot(2)) == [0, 1, 2])
    let (first, second) = (publisher.mailboxes[0], publisher.mailboxes[1])
    #expect(first.beginTurn().generation == 2)
    #expect(second.beginTurn().generation == 2)
    #expect(publisher.publish(snapshot(3)) == [2])
    first.endTurn()
    second.endTurn()
    #expect(!first.prepareSleep())
    #expect(first.beginTurn().generation == 3)
    first.endTurn()
    #expect(first.prepareSleep())
    #expect(publisher.publish(snapshot(4)) == [0, 2])
    for mailbox in publisher.mailboxes {
        mailbox.leave()
    }
}

@Test func `a table stays as long as one reactor may still read it`() {
    var publisher = SnapshotPublisher(reactors: 2, first: snapshot(1))
    let (quick, slow) = (publisher.mailboxes[0], publisher.mailboxes[1])
    let read = slow.beginTurn()
    for generation in UInt64(2)...5 {
        _ = publisher.publish(snapshot(generation))
        #expect(quick.beginTurn().generation == generation)
        quick.endTurn()
    }
    #expect(publisher.reclaim() == 4)
    #expect(read.generation == 1)
    slow.endTurn()
    // It has ended a turn, but with an old table: it is not known to have seen a newer one.
    #expect(publisher.reclaim() == 4)
    #expect(slow.beginTurn().generation == 5)
    slow.endTurn()
    #expect(publisher.reclaim() == 0)
    quick.leave()
    slow.leave()
}

@Test func `a turn that goes on with a newer table holds the older one until it ends`() {
    var publisher = SnapshotPublisher(reactors: 1, first: snapshot(1))
    let mailbox = publisher.mailboxes[0]
    #expect(mailbox.beginTurn().generation == 1)
    _ = publisher.publish(snapshot(2))
    #expect(mailbox.continueTurn().generation == 2)
    _ = publisher.publish(snapshot(3))
    #expect(publisher.reclaim() == 2)
    mailbox.endTurn()
    #expect(publisher.reclaim() == 1)
    #expect(mailbox.beginTurn().generation == 3)
    mailbox.endTurn()
    #expect(publisher.reclaim() == 0)
    mailbox.leave()
}

@Test func `a reactor that sleeps holds nothing`() {
    var publisher = SnapshotPublisher(reactors: 1, first: snapshot(1))
    let mailbox = publisher.mailboxes[0]
    _ = mailbox.beginTurn()
    mailbox.endTurn()
    #expect(mailbox.prepareSleep())
    _ = publisher.publish(snapshot(2))
    #expect(publisher.retiredCount == 0)
    #expect(mailbox.isSleeping)
    #expect(mailbox.beginTurn().generation == 2)
    #expect(!mailbox.isSleeping)
    mailbox.leave()
}

/// Calls in random order, against what must be true of them.
@Test(arguments: UInt64(0)..<200)
func `no order of calls frees what is read or loses a wake-up`(seed: UInt64) {
    struct Reactor {
        var reading: Snapshot?
        var isAsleep = false
        var hasBeenWoken = false
        var lastSeen: UInt64 = 1
    }
    var generator = SeededGenerator(seed: seed)
    let count = Int.random(in: 1...4, using: &generator)
    var publisher = SnapshotPublisher(reactors: count, first: snapshot(1))
    var reactors = [Reactor](repeating: Reactor(), count: count)
    var generation: UInt64 = 1
    for _ in 0..<500 {
        let index = Int.random(in: 0..<count, using: &generator)
        let mailbox = publisher.mailboxes[index]
        switch Int.random(in: 0...6, using: &generator) {
        case 0:
            generation += 1
            for woken in publisher.publish(snapshot(generation)) {
                reactors[woken].hasBeenWoken = true
            }
        case 1:
            publisher.reclaim()
        case 2 where reactors[index].reading != nil:
            mailbox.endTurn()
            reactors[index].reading = nil
        case 3 where reactors[index].reading == nil && !mailbox.isSleeping:
            let mayWait = mailbox.prepareSleep()
            #expect(mayWait == (reactors[index].lastSeen == generation), "seed \(seed)")
            reactors[index].isAsleep = mayWait
            reactors[index].hasBeenWoken = false
        case 4 where reactors[index].reading != nil:
            let snapshot = mailbox.continueTurn()
            #expect(snapshot.generation == generation, "seed \(seed)")
            reactors[index].reading = snapshot
            reactors[index].lastSeen = generation
        default:
            if reactors[index].isAsleep && reactors[index].lastSeen < generation {
                #expect(reactors[index].hasBeenWoken, "seed \(seed)")
            }
            if reactors[index].reading != nil { mailbox.endTurn() }
            let snapshot = mailbox.beginTurn()
            #expect(snapshot.generation == generation, "seed \(seed)")
            reactors[index] = Reactor(reading: snapshot, lastSeen: generation)
        }
        // The tables that are left are the youngest ones.
        let oldestLeft = generation - UInt64(publisher.retiredCount)
        for reactor in reactors where reactor.reading != nil {
            #expect(reactor.lastSeen >= oldestLeft, "seed \(seed)")
        }
    }
    for mailbox in publisher.mailboxes {
        mailbox.leave()
    }
}
