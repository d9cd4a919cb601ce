import CKernel
import Glibc
import Memory
import Reactor
import Testing

/// What happens on a thread of its own, so that no thread of other tests stays pinned or named.
private func onThread(_ body: @escaping @Sendable () -> Bool) -> Bool {
    let result = SharedWords(count: 1)
    pthread_join(startThread { result.store(body() ? 1 : 0, at: 0) }, nil)
    return result.load(0) == 1
}

private func processors() -> [Int32] {
    var numbers = [Int32](repeating: -1, count: 1_024)
    let count = unsafe ck_processors(&numbers, 1_024)
    return Array(numbers.prefix(Int(max(0, count))))
}

@Test func `a thread can be kept on each processor that it may run on`() throws {
    let all = processors()
    try #require(!all.isEmpty)
    for processor in all {
        #expect(
            onThread { Threads.pin(to: Int(processor)) && processors() == [processor] && sched_getcpu() == processor })
    }
}

@Test func `a processor that is not there is refused`() {
    #expect(onThread { !Threads.pin(to: 100_000) && !Threads.pin(to: -1) && processors().count > 0 })
}

@Test func `a thread is shown by its name`() {
    #expect(
        onThread {
            Threads.name("reactor 7")
            guard let file = unsafe fopen("/proc/thread-self/comm", "r") else { return false }
            defer { unsafe fclose(file) }
            var line = [CChar](repeating: 0, count: 64)
            guard unsafe fgets(&line, 64, file) != nil else { return false }
            return line.prefix(9).elementsEqual("reactor 7".utf8.map { CChar($0) })
        }
    )
}

@Test func `the clock goes on`() {
    let start = Sockets.nowMilliseconds()
    Sockets.pause()
    Sockets.pause()
    #expect(Sockets.nowMilliseconds() > start)
}
