import CKernel
import Glibc
import Memory
import Reactor
import Testing

private let wouldBlock = Int(KernelError.wouldBlock)

@Test func `bytes go through a pipe from socket to socket`() throws {
    var pipes = Pipes(count: 1, bytes: 64 << 10)
    let source = SocketPair()
    let target = SocketPair()
    let sent = pattern(10_000)
    source.peer.write(sent)
    let pipe = pipes.take()
    #expect(pipe == 0 && pipes.borrowed == 1 && pipes.take() == -1)
    #expect(pipes.fill(pipe, from: source.ours.fd, atMost: 1_000) == 1_000)
    #expect(pipes.fill(pipe, from: source.ours.fd, atMost: 100_000) == 9_000)
    #expect(pipes.fill(pipe, from: source.ours.fd, atMost: 100_000) == wouldBlock)
    #expect(pipes.bytes(in: pipe) == 10_000)
    #expect(pipes.empty(pipe, into: target.ours.fd) == 10_000)
    #expect(target.peer.read() == sent)
    pipes.giveBack(pipe)
    #expect(pipes.borrowed == 0)
}

/// Nothing of a flow may be seen by the next one that borrows the pipe.
@Test func `a pipe that is given back is empty`() throws {
    var pipes = Pipes(count: 1, bytes: 64 << 10)
    let source = SocketPair()
    let target = SocketPair()
    source.peer.write(pattern(30_000))
    let first = pipes.take()
    #expect(pipes.fill(first, from: source.ours.fd, atMost: 30_000) == 30_000)
    pipes.giveBack(first)
    source.peer.write([1, 2, 3])
    let second = pipes.take()
    #expect(second == first && pipes.bytes(in: second) == 0)
    #expect(pipes.fill(second, from: source.ours.fd, atMost: 30_000) == 3)
    #expect(pipes.empty(second, into: target.ours.fd) == 3)
    #expect(target.peer.read() == [1, 2, 3])
}

@Test func `a full pipe takes no more, and what it holds stays`() throws {
    var pipes = Pipes(count: 1, bytes: 64 << 10)
    let source = try SocketPair(tcpWithSendBuffer: nil)
    let pipe = pipes.take()
    let writer = source.peer.fd
    let thread = startThread { unsafe ck_write_all(writer, pattern(300_000), 300_000) }
    var count = 0
    while true {
        let moved = pipes.fill(pipe, from: source.ours.fd, atMost: 300_000)
        if moved > 0 { count += moved }
        if moved == wouldBlock, count > 0, pipes.bytes(in: pipe) == count { break }
    }
    // Each piece of a socket's bytes takes a page's place, so it may be full with less.
    #expect(count > 0 && count <= 64 << 10)
    pthread_cancel(thread)
    pthread_join(thread, nil)
}

@Test func `the first block can be copied out, and the rest follows`() throws {
    var pipes = Pipes(count: 1, bytes: 64 << 10)
    let pool = BlockPool(capacity: 2)
    var chain = Chain()
    let source = SocketPair()
    let target = SocketPair()
    let sent = pattern(10_000)
    source.peer.write(sent)
    let pipe = pipes.take()
    #expect(pipes.fill(pipe, from: source.ours.fd, atMost: 10_000) == 10_000)
    #expect(pipes.takeBlock(pipe, to: &chain, of: pool) == BlockPool.blockBytes)
    #expect(pipes.takeBlock(pipe, to: &chain, of: pool) == BlockPool.blockBytes)
    #expect(pipes.takeBlock(pipe, to: &chain, of: pool) == 0, "the pool is exhausted")
    var copied = [UInt8](repeating: 0, count: chain.count)
    _ = unsafe copied.withUnsafeMutableBytes { unsafe pool.copy(chain, to: $0) }
    #expect(copied == Array(sent[..<(2 * BlockPool.blockBytes)]))
    #expect(pipes.empty(pipe, into: target.ours.fd) == 10_000 - 2 * BlockPool.blockBytes)
    #expect(target.peer.read() == Array(sent[(2 * BlockPool.blockBytes)...]))
    pool.clear(&chain)
}

@Test func `the end of a socket, a full one and one that is gone are told apart`() throws {
    Threads.surviveBrokenConnections()
    var pipes = Pipes(count: 1, bytes: 64 << 10)
    let pipe = pipes.take()
    let source = SocketPair()
    source.peer.write([7])
    shutdown(source.peer.fd, Int32(SHUT_WR))
    #expect(pipes.fill(pipe, from: source.ours.fd, atMost: 10) == 1)
    #expect(pipes.fill(pipe, from: source.ours.fd, atMost: 10) == 0, "the end")
    var target = try SocketPair(tcpWithSendBuffer: 4_096)
    var sent = 0
    let filler = pattern(4_096)
    while true {
        let count = unsafe filler.withUnsafeBytes { unsafe Sockets.sendNow(target.ours.fd, $0) }
        if count < 0 { break }
        sent += count
    }
    #expect(sent > 0 && pipes.empty(pipe, into: target.ours.fd) == wouldBlock)
    #expect(pipes.bytes(in: pipe) == 1)
    target = SocketPair()
    shutdown(target.ours.fd, Int32(SHUT_WR))
    #expect(pipes.empty(pipe, into: target.ours.fd) == Int(KernelError.brokenPipe))
}

/// Some are kept for those who give them back soon.
@Test func `a borrower can leave pipes for others`() throws {
    var pipes = Pipes(count: 4, bytes: 65_536)
    #expect(pipes.take(leaving: 4) == -1)
    let first = pipes.take(leaving: 3)
    #expect(first >= 0 && pipes.take(leaving: 3) == -1)
    let others = [pipes.take(leaving: 2), pipes.take(), pipes.take()]
    #expect(others.allSatisfy { $0 >= 0 } && pipes.take() == -1 && pipes.borrowed == 4)
    for pipe in others + [first] { pipes.giveBack(pipe) }
    #expect(pipes.borrowed == 0)
}

/// An unprivileged user gets small pipes when it has many (`pipe(7)`): those are not worth having.
@Test func `there are as many pipes as the kernel gives of a useful size`() {
    let pipes = Pipes(count: 4, bytes: 1 << 20)
    #expect(pipes.count <= 4)
    #expect(Pipes(count: 0, bytes: 1 << 20).count == 0)
}

@Test func `a poll reports bytes once, at once if they are there`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    test.ring.pollForBytes(pair.ours.fd, Token(Kind.poll))
    #expect(test.completionsSoon().isEmpty)
    pair.peer.write([1])
    #expect(test.completions().first.map { $0.result & Int32(POLLIN) } == Int32(POLLIN))
    test.ring.pollForBytes(pair.ours.fd, Token(Kind.poll))
    #expect(test.completions().first?.hasMore == false)
}

@Test func `a receive takes no more than it is told`() throws {
    var test = try TestRing()
    let pair = SocketPair()
    pair.peer.write(pattern(100))
    test.ring.receive(pair.ours.fd, group: 3, atMost: 60, Token(Kind.receive))
    let first = try #require(test.completions().first)
    #expect(first.socketHasMore && test.take(first) == Array(pattern(100)[..<60]))
    test.ring.receive(pair.ours.fd, group: 3, atMost: 60, Token(Kind.receive))
    let second = try #require(test.completions().first)
    #expect(!second.socketHasMore && test.take(second) == Array(pattern(100)[60...]))
}

@Test func `what is sent at once is told, and belongs together`() throws {
    let pair = try SocketPair(tcpWithSendBuffer: nil)
    let pool = BlockPool(capacity: 8)
    var chain = Chain()
    let sent = pattern(3 * BlockPool.blockBytes)
    let isRoom = unsafe sent.withUnsafeBytes { unsafe pool.append($0, to: &chain) }
    #expect(isRoom)
    let gather = GatherSpace(sends: 1)
    #expect(gather.sendNow(pair.ours.fd, chain, of: pool, hasMore: true) == sent.count)
    #expect(unsafe [UInt8](repeating: 9, count: 1).withUnsafeBytes { unsafe Sockets.sendNow(pair.ours.fd, $0) } == 1)
    var received: [UInt8] = []
    while received.count < sent.count + 1 { received += pair.peer.read() ?? [] }
    #expect(received == sent + [9])
    pool.clear(&chain)
}
