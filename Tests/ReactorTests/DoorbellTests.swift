import CKernel
import Glibc
import Memory
import Reactor
import Synchronization
import Testing

/// A reactor as far as its doorbell is concerned: takes what is in the queue, then sleeps until it is woken.
private final class Sleeper: Sendable {
    let queue = MessageQueue<Int>(capacity: 8)
    let doorbell: Doorbell
    let received = Atomic<Int>(0)
    let sleeps = Atomic<Int>(0)
    let timeouts = Atomic<Int>(0)
    private let expected: Int

    init?(expecting count: Int) {
        guard let doorbell = try? Doorbell() else { return nil }
        self.doorbell = doorbell
        expected = count
    }

    func run() {
        guard let test = try? TestRing(buffers: 1, bufferBytes: 64) else { return }
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        defer { unsafe space.deallocate() }
        unsafe test.ring.read(doorbell.fd, space, Token(Kind.bell))
        while received.load(ordering: .relaxed) < expected, timeouts.load(ordering: .relaxed) == 0 {
            doorbell.prepareSleep()
            let isIdle = queue.isEmpty()
            // Nothing but the doorbell ends the wait: a lost wake-up is never made up for.
            test.ring.submitAndWait(milliseconds: isIdle ? 60_000 : 0)
            doorbell.awake()
            if isIdle { sleeps.wrappingAdd(1, ordering: .relaxed) }
            let count = test.ring.completionCount()
            for _ in 0..<count { unsafe test.ring.read(doorbell.fd, space, Token(Kind.bell)) }
            test.ring.advance(count)
            if isIdle, count == 0, queue.isEmpty() { timeouts.wrappingAdd(1, ordering: .relaxed) }
            while queue.pop() != nil { received.wrappingAdd(1, ordering: .releasing) }
        }
        test.ring.cancel(Token(Kind.bell), Token(Kind.cancel))
        _ = test.completions(atLeast: 2)
    }
}

/// The senders wait for an answer now and then, so that the reactor falls asleep again and again while they push.
@Test(arguments: [1, 3])
func `no wake-up is lost, however sleep and work cross`(senders: Int) throws {
    let messages = 3_000
    let sleeper = try #require(Sleeper(expecting: senders * messages))
    let reactor = startThread { sleeper.run() }
    let threads = (0..<senders).map { sender in
        startThread {
            for number in 0..<messages {
                while !sleeper.queue.push(number) {
                    guard sleeper.timeouts.load(ordering: .relaxed) == 0 else { return }
                    sched_yield()
                }
                sleeper.doorbell.ring()
                // Alone, it waits each time: every message finds the reactor falling asleep or asleep.
                guard senders == 1 || number % 7 == sender else { continue }
                let wanted = senders == 1 ? number + 1 : sleeper.received.load(ordering: .relaxed)
                while sleeper.received.load(ordering: .acquiring) < wanted {
                    guard sleeper.timeouts.load(ordering: .relaxed) == 0 else { return }
                    sched_yield()
                }
            }
        }
    }
    for thread in threads + [reactor] { pthread_join(thread, nil) }
    #expect(sleeper.timeouts.load(ordering: .relaxed) == 0)
    #expect(sleeper.received.load(ordering: .relaxed) == senders * messages)
    #expect(sleeper.sleeps.load(ordering: .relaxed) > 0)
}

@Test func `a doorbell is silent while its reactor is awake`() throws {
    let doorbell = try Doorbell()
    let test = try TestRing()
    let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
    defer { unsafe space.deallocate() }
    unsafe test.ring.read(doorbell.fd, space, Token(Kind.bell))
    for _ in 0..<5 { doorbell.ring() }
    #expect(test.completionsSoon().isEmpty)
    doorbell.prepareSleep()
    doorbell.awake()
    doorbell.ring()
    #expect(test.completionsSoon().isEmpty)
    doorbell.prepareSleep()
    // Whoever comes second finds that it has been done.
    for _ in 0..<5 { doorbell.ring() }
    #expect(test.completions().first?.result == 8)
    #expect(unsafe space.load(as: UInt64.self) == 1)
    close(doorbell.fd)
}

@Test func `news for the control thread is signaled once until it is taken`() throws {
    let bell = try ControlBell()
    #expect(ck_take_eventfd(bell.fd) == 0)
    for _ in 0..<5 { bell.ring() }
    #expect(ck_take_eventfd(bell.fd) == 1)
    bell.ring()
    #expect(ck_take_eventfd(bell.fd) == 0)
    bell.take()
    bell.ring()
    #expect(ck_take_eventfd(bell.fd) == 1)
    close(bell.fd)
}

/// The control thread takes the bell first and looks for news then: what is rung in between is seen by that look.
@Test func `no news for the control thread is lost`() throws {
    let bell = try ControlBell()
    let rounds: UInt64 = 5_000
    let news = SharedWords(count: 1, isSpread: true)
    let seen = SharedWords(count: 2, isSpread: true)
    let control = startThread {
        while seen.load(0) < rounds {
            var entry = pollfd(fd: bell.fd, events: Int16(POLLIN), revents: 0)
            guard unsafe poll(&entry, 1, 60_000) == 1 else {
                seen.store(1, at: 1)
                return
            }
            bell.take()
            seen.store(news.load(0), at: 0)
        }
    }
    for round in 1...rounds {
        news.store(round, at: 0)
        bell.ring()
        // Now and then it has to be seen, with no more help than this ring.
        while round % 5 == 0, seen.load(0) < round, seen.load(1) == 0 { sched_yield() }
    }
    pthread_join(control, nil)
    #expect(seen.load(1) == 0 && seen.load(0) == rounds)
    close(bell.fd)
}
