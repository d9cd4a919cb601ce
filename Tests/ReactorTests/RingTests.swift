import CKernel
import Glibc
import Reactor
import Testing

@Test func `tokens keep kind, generation and index apart`() {
    for (kind, generation, index) in [(UInt8(0), UInt32(0), Int32(0)), (255, 0xff_ffff, .max), (7, 1, -1)] {
        let token = Token(kind: kind, generation: generation, index: index)
        #expect(token.kind == kind && token.generation == generation && token.index == index)
        #expect(Token(rawValue: token.rawValue) == token)
    }
    // A generation wider than its place does not reach the kind.
    #expect(Token(kind: 1, generation: .max, index: 0).kind == 1)
}

@Test func `waiting ends with its time when nothing happens`() throws {
    let test = try TestRing()
    let start = Sockets.nowMilliseconds()
    test.ring.submitAndWait(milliseconds: 40)
    let waited = Sockets.nowMilliseconds() - start
    #expect(waited >= 39)
    #expect(test.ring.completionCount() == 0)
}

@Test func `not waiting at all submits and returns`() throws {
    let test = try TestRing()
    test.ring.submitAndWait(milliseconds: 0)
    #expect(test.ring.completionCount() == 0)
    test.ring.cancel(Token(Kind.receive), Token(Kind.cancel))
    test.ring.submitAndWait(milliseconds: 0)
    #expect(test.ring.completionCount() == 1)
}

@Test func `waiting without an end ends with a completion`() throws {
    let test = try TestRing()
    test.ring.cancel(Token(Kind.receive), Token(Kind.cancel, 5))
    test.ring.submitAndWait(milliseconds: -1)
    #expect(test.ring.completionCount() == 1)
    #expect(test.ring.completion(at: 0).token == Token(Kind.cancel, 5))
    #expect(test.ring.completion(at: 0).result == KernelError.noEntry)
    test.ring.advance(1)
    #expect(test.ring.completionCount() == 0)
}

/// A turn may have more to say than the queue holds; what does not fit goes to the kernel early.
@Test func `more operations than the queue holds are all done`() throws {
    let test = try TestRing(entries: 4, completionEntries: 512)
    for index in 0..<Int32(300) { test.ring.cancel(Token(Kind.receive), Token(Kind.cancel, index)) }
    let completions = test.completions(atLeast: 300)
    #expect(completions.map(\.token.index).sorted() == Array(0..<300))
    #expect(completions.allSatisfy { $0.result == KernelError.noEntry && !$0.hasMore })
}

@Test func `completions beyond their queue are kept by the kernel and told`() throws {
    let test = try TestRing(entries: 8, completionEntries: 16)
    for index in 0..<Int32(100) { test.ring.cancel(Token(Kind.receive), Token(Kind.cancel, index)) }
    test.ring.submitAndWait(milliseconds: 0)
    #expect(test.ring.hasOverflowed() == true)
    let completions = test.completions(atLeast: 100)
    #expect(completions.map(\.token.index).sorted() == Array(0..<100))
    _ = test.completionsSoon(milliseconds: 0)
    #expect(test.ring.hasOverflowed() == false)
}

/// The descriptors of the process are not the ring's to close. 0 is what a ring that was never set up would name.
@Test func `a ring that cannot be set up says why and closes nothing`() {
    let before = fcntl(0, F_GETFD)
    #expect(throws: RingFailure.kernelTooOld(.setup)) {
        _ = try Ring(RingConfiguration(entries: 0, completionEntries: 8))
    }
    #expect(throws: RingFailure.kernelTooOld(.setup)) {
        _ = try Ring(RingConfiguration(entries: 64, completionEntries: 8))
    }
    #expect(fcntl(0, F_GETFD) == before)
}

@Test func `a ring gives its descriptors back when it ends`() async {
    // In a process of its own: other tests have rings too.
    await #expect(processExitsWith: .success) {
        func openRings() -> Int {
            (0..<1024).filter { fd in
                var target = [CChar](repeating: 0, count: 64)
                let count = unsafe readlink("/proc/self/fd/\(fd)", &target, target.count)
                let text = String(decoding: target.map(UInt8.init(bitPattern:)), as: UTF8.self)
                return count > 0 && text.contains("io_uring")
            }.count
        }
        var most = 0
        for _ in 0..<20 {
            let test = try TestRing()
            test.ring.submitAndWait(milliseconds: 0)
            most = max(most, openRings())
        }
        if most != 1 || openRings() != 0 { exit(1) }
    }
}

@Test func `buffers cannot be registered twice for a group`() throws {
    let test = try TestRing()
    #expect(throws: RingFailure.other(.register, error: EEXIST)) {
        _ = try ReceiveBuffers(test.ring, group: 3, count: 8, bufferBytes: 64)
    }
    _ = try ReceiveBuffers(test.ring, group: 4, count: 8, bufferBytes: 64)
}
