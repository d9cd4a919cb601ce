import Glibc
import Reactor
import Testing

@Test func `a close has no completion and the peer sees the end`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    let fd = dup(pair.ours.fd)
    end(pair.ours)
    test.ring.close(fd, Token(Kind.close))
    #expect(test.completionsSoon().isEmpty)
    #expect(pair.peer.read() == nil)
}

@Test func `a close that fails is told`() throws {
    let test = try TestRing()
    test.ring.close(-1, Token(Kind.close, 8))
    let completion = try #require(test.completions().first)
    #expect(completion.token == Token(Kind.close, 8) && completion.result == -EBADF)
}

/// An operation under way keeps the socket: whoever closes cancels first.
@Test func `a socket with a receive under way stays open until that is canceled`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    let fd = dup(pair.ours.fd)
    end(pair.ours)
    test.ring.receiveRepeatedly(fd, group: 3, Token(Kind.receive))
    #expect(test.completionsSoon().isEmpty)
    Sockets.close(fd)
    #expect(pair.peer.read() == [])
    test.ring.cancel(Token(Kind.receive), Token(Kind.cancel))
    #expect(test.completions(atLeast: 2).count == 2)
    // The kernel lets go of the socket a moment after it has told of the last operation.
    for _ in 0..<5_000 where pair.peer.read() != nil {
        _ = test.completionsSoon()
        usleep(1_000)
    }
    #expect(pair.peer.read() == nil)
}

@Test func `the end of our bytes leaves the other direction open`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: nil)
    pair.ours.write([1])
    Sockets.finish(pair.ours.fd)
    #expect(pair.peer.read() == [1])
    #expect(pair.peer.read() == nil)
    pair.peer.write([2])
    test.ring.receive(pair.ours.fd, group: 3, Token(Kind.receive))
    #expect(test.completions().first?.result == 1)
}

@Test func `a close can be a reset`() throws {
    let pair = try SocketPair(tcpWithSendBuffer: nil)
    Sockets.resetOnClose(pair.ours.fd)
    end(pair.ours)
    var byte: UInt8 = 0
    #expect(unsafe recv(pair.peer.fd, &byte, 1, 0) == -1 && errno == ECONNRESET)
}
