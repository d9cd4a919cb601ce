import Glibc
import Reactor
import Testing

private let group: UInt16 = 3

@Test func `a single receive takes one buffer and is over`() throws {
    var test = try TestRing()
    let pair = SocketPair()
    test.ring.receive(pair.ours.fd, group: group, Token(Kind.receive, 9))
    #expect(test.completionsSoon().isEmpty)
    pair.peer.write(pattern(100))
    let completion = try #require(test.completions().first)
    #expect(completion.token == Token(Kind.receive, 9) && completion.result == 100)
    #expect(completion.buffer >= 0 && !completion.hasMore)
    let bytes = test.take(completion)
    #expect(bytes == pattern(100))
    pair.peer.write([1])
    #expect(test.completionsSoon().isEmpty)
}

@Test func `a repeated receive reports every piece in order, then the end`() throws {
    var test = try TestRing()
    let pair = SocketPair()
    test.ring.receiveRepeatedly(pair.ours.fd, group: group, Token(Kind.receive))
    var bytes: [UInt8] = []
    for piece in 0..<40 {
        pair.peer.write([UInt8](repeating: UInt8(piece), count: piece + 1))
        for completion in test.completions() {
            #expect(completion.hasMore && completion.result > 0)
            bytes += test.take(completion)
        }
    }
    #expect(bytes == (0..<40).flatMap { [UInt8](repeating: UInt8($0), count: $0 + 1) })
    Sockets.finish(pair.peer.fd)
    let last = try #require(test.completions().last)
    #expect(last.result == 0 && !last.hasMore && last.buffer == -1)
}

@Test func `a piece larger than a buffer comes in several`() throws {
    var test = try TestRing(buffers: 8, bufferBytes: 256)
    let pair = SocketPair()
    let sent = pattern(1_000)
    pair.peer.write(sent)
    test.ring.receiveRepeatedly(pair.ours.fd, group: group, Token(Kind.receive))
    var received: [UInt8] = []
    var sizes: [Int32] = []
    for completion in test.completions(atLeast: 4) {
        sizes.append(completion.result)
        received += test.take(completion)
    }
    #expect(received == sent && sizes == [256, 256, 256, 232])
}

/// A flood on one socket uses the buffers of all: it is told, stops, and loses nothing.
@Test func `a receive that finds no buffer ends, and goes on where it was when it is armed again`() throws {
    var test = try TestRing(buffers: 4, bufferBytes: 128)
    let pair = SocketPair()
    let sent = pattern(5_000)
    pair.peer.write(sent)
    var received: [UInt8] = []
    var timesDry = 0
    var isArmed = false
    var held: [Completion] = []
    while received.count < sent.count, timesDry < 100 {
        if !isArmed { test.ring.receiveRepeatedly(pair.ours.fd, group: group, Token(Kind.receive)) }
        isArmed = true
        for completion in test.completions() {
            isArmed = completion.hasMore
            if completion.result == KernelError.noBuffers {
                #expect(completion.buffer == -1 && !completion.hasMore)
                timesDry += 1
            } else {
                #expect(completion.result > 0)
                held.append(completion)
            }
        }
        // Given back only when the turn is over.
        for completion in held { received += test.take(completion) }
        held = []
    }
    #expect(received == sent)
    #expect(timesDry > 0)
}

@Test func `buffers that are given back without being published are not used`() throws {
    var test = try TestRing(buffers: 1, bufferBytes: 64)
    let pair = SocketPair()
    pair.peer.write(pattern(64))
    test.ring.receive(pair.ours.fd, group: group, Token(Kind.receive))
    let first = try #require(test.completions().first)
    #expect(first.result == 64 && first.buffer == 0)
    test.buffers.giveBack(first.buffer)
    pair.peer.write(pattern(10))
    test.ring.receive(pair.ours.fd, group: group, Token(Kind.receive))
    let dry = try #require(test.completions().first)
    #expect(dry.result == KernelError.noBuffers)
    test.buffers.publish()
    test.ring.receive(pair.ours.fd, group: group, Token(Kind.receive))
    let second = try #require(test.completions().first)
    #expect(second.result == 10)
}

@Test func `idle sockets hold no buffers`() throws {
    var test = try TestRing(buffers: 2, bufferBytes: 64)
    let pairs = [FDPair(), FDPair(), FDPair(), FDPair()]
    for (index, pair) in pairs.enumerated() {
        test.ring.receiveRepeatedly(pair.ours, group: group, Token(Kind.receive, Int32(index)))
    }
    #expect(test.completionsSoon().isEmpty)
    for (index, pair) in pairs.enumerated() {
        #expect(unsafe send(pair.peer, [UInt8(index)], 1, 0) == 1)
        let completion = try #require(test.completions().first)
        let bytes = test.take(completion)
        #expect(completion.token.index == Int32(index) && bytes == [UInt8(index)] && completion.hasMore)
    }
    for pair in pairs { pair.close() }
}

/// A hand-over may begin only when the old ring has nothing left for the connection.
@Test func `a canceled receive has one last completion, and later bytes stay in the socket`() throws {
    var test = try TestRing()
    let pair = SocketPair()
    test.ring.receiveRepeatedly(pair.ours.fd, group: group, Token(Kind.receive))
    pair.peer.write([1, 2])
    let first = try #require(test.completions().first)
    #expect(first.hasMore)
    _ = test.take(first)

    pair.peer.write([3])
    test.ring.cancel(Token(Kind.receive), Token(Kind.cancel))
    var received: [UInt8] = []
    var isOver = false
    for completion in test.completions(atLeast: 2) where completion.token.kind == Kind.receive {
        #expect(!isOver)
        received += test.take(completion)
        isOver = !completion.hasMore
    }
    #expect(isOver)
    pair.peer.write([4])
    #expect(test.completionsSoon().isEmpty)
    test.ring.receive(pair.ours.fd, group: group, Token(Kind.receive))
    let next = try #require(test.completions().first)
    received += test.take(next)
    #expect(received == [3, 4])
}

@Test func `canceling what is not there is told and harms nothing`() throws {
    var test = try TestRing()
    let pair = SocketPair()
    test.ring.receiveRepeatedly(pair.ours.fd, group: group, Token(Kind.receive, 1))
    test.ring.cancel(Token(Kind.receive, 2), Token(Kind.cancel))
    #expect(test.completions().map(\.result) == [KernelError.noEntry])
    pair.peer.write([7])
    let completion = try #require(test.completions().first)
    let bytes = test.take(completion)
    #expect(bytes == [7])
}

@Test func `a reset is an error of the receive`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: nil)
    test.ring.receiveRepeatedly(pair.ours.fd, group: group, Token(Kind.receive))
    #expect(test.completionsSoon().isEmpty)
    Sockets.resetOnClose(pair.peer.fd)
    end(pair.peer)
    let completion = try #require(test.completions().first)
    #expect(completion.result == KernelError.connectionReset && !completion.hasMore)
}

/// Two connected sockets as plain numbers, for tests that keep many.
private struct FDPair {
    let ours: Int32
    let peer: Int32

    init() {
        var fds: [Int32] = [-1, -1]
        precondition(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &fds) == 0)
        ours = fds[0]
        peer = fds[1]
    }

    func close() {
        Glibc.close(ours)
        Glibc.close(peer)
    }
}
