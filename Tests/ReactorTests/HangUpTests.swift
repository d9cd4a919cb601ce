import CKernel
import Glibc
import Reactor
import Testing

/// For connections whose receive is stopped: bytes that wait must not wake anybody.
@Test func `a poll for the peer's end is not woken by bytes`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    test.ring.pollForHangUp(pair.ours.fd, Token(Kind.poll, 2))
    pair.peer.write([1, 2, 3])
    #expect(test.completionsSoon().isEmpty)
    Sockets.finish(pair.peer.fd)
    let completion = try #require(test.completions().first)
    #expect(completion.token == Token(Kind.poll, 2) && completion.hasMore)
    #expect(completion.result & Int32(POLLRDHUP) != 0)
    #expect(pair.ours.read() == [1, 2, 3])
}

@Test func `a poll sees an end that came before it`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: nil)
    Sockets.finish(pair.peer.fd)
    var result: Int32 = 0
    test.ring.pollForHangUp(pair.ours.fd, Token(Kind.poll))
    result = test.completions().first?.result ?? 0
    #expect(result & Int32(POLLRDHUP) != 0 && result & Int32(POLLERR) == 0)
}

/// An end that holds must not be told again and again.
@Test func `an end is reported once, and a reset after it`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: nil)
    test.ring.pollForHangUp(pair.ours.fd, Token(Kind.poll))
    Sockets.finish(pair.peer.fd)
    let finish = try #require(test.completions().first)
    #expect(finish.result & Int32(POLLRDHUP) != 0 && finish.hasMore)
    #expect(test.completionsSoon().isEmpty)
    Sockets.resetOnClose(pair.peer.fd)
    end(pair.peer)
    let reset = test.completions().first?.result ?? 0
    #expect(reset & Int32(POLLERR) != 0)
}

/// With both directions ended a poll would have something to tell at any time.
@Test func `the ends of both directions are reported once, and a reset after them`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: nil)
    Sockets.finish(pair.ours.fd)
    pair.peer.write([1])
    Sockets.finish(pair.peer.fd)
    test.ring.pollForHangUp(pair.ours.fd, Token(Kind.poll))
    let ends = try #require(test.completions().first)
    #expect(ends.result & Int32(POLLRDHUP) != 0 && ends.result & Int32(POLLERR) == 0)
    #expect(ends.hasMore)
    #expect(test.completionsSoon().isEmpty)
}

@Test func `a reset shows as an error`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: nil)
    test.ring.pollForHangUp(pair.ours.fd, Token(Kind.poll))
    #expect(test.completionsSoon().isEmpty)
    Sockets.resetOnClose(pair.peer.fd)
    end(pair.peer)
    let result = test.completions().first?.result ?? 0
    #expect(result & Int32(POLLERR) != 0 && result & Int32(POLLHUP) != 0)
}

@Test func `a poll can be canceled`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    test.ring.pollForHangUp(pair.ours.fd, Token(Kind.poll))
    #expect(test.completionsSoon().isEmpty)
    test.ring.cancel(Token(Kind.poll), Token(Kind.cancel))
    let completions = test.completions(atLeast: 2)
    #expect(completions.first { $0.token.kind == Kind.poll }?.result == KernelError.canceled)
}
