import CKernel
import Glibc
import Reactor
import Testing

@Test func `one accept reports every connection`() throws {
    let test = try TestRing()
    let listener = try TestListener()
    test.ring.accept(listener.socket.fd, Token(Kind.accept, 4))
    var clients: [Int32] = []
    for _ in 0..<20 { clients.append(try listener.connect().release()) }
    let completions = test.completions(atLeast: 20)
    #expect(completions.count == 20)
    for completion in completions {
        #expect(completion.token == Token(Kind.accept, 4) && completion.result >= 0 && completion.hasMore)
        #expect(completion.buffer == -1)
        close(completion.result)
    }
    for client in clients { close(client) }
}

/// What a listener has set saves every new connection system calls of its own.
@Test func `an accepted socket does not block, is not inherited, does not delay and is kept alive`() throws {
    let test = try TestRing()
    let listener = try TestListener()
    test.ring.accept(listener.socket.fd, Token(Kind.accept))
    let client = try listener.connect()
    let completion = try #require(test.completions().first)
    let socket = Descriptor(fd: completion.result)
    #expect(fcntl(socket.fd, F_GETFL) & O_NONBLOCK != 0)
    #expect(fcntl(socket.fd, F_GETFD) & FD_CLOEXEC != 0)
    #expect(socket.option(Int32(IPPROTO_TCP), TCP_NODELAY) == 1)
    #expect(socket.option(SOL_SOCKET, SO_KEEPALIVE) == 1)
    _ = client.read()
}

/// Closing a listener relies on it: nothing comes behind the last completion, and nobody in the queue is lost.
@Test func `after a canceled accept the rest is still in the queue`() throws {
    let test = try TestRing()
    let listener = try TestListener()
    test.ring.accept(listener.socket.fd, Token(Kind.accept))
    let first = try listener.connect()
    let accepted = try #require(test.completions().first)
    #expect(accepted.hasMore)
    close(accepted.result)

    test.ring.cancel(Token(Kind.accept), Token(Kind.cancel))
    let completions = test.completions(atLeast: 2)
    let last = try #require(completions.first { $0.token.kind == Kind.accept })
    #expect(last.result == KernelError.canceled && !last.hasMore)
    #expect(completions.first { $0.token.kind == Kind.cancel }?.result == 0)

    let late = try listener.connect()
    #expect(test.completionsSoon().isEmpty)
    let fd = Sockets.acceptNow(listener.socket.fd)
    #expect(fd >= 0)
    close(fd)
    #expect(Sockets.acceptNow(listener.socket.fd) == KernelError.wouldBlock)
    _ = (first.read(), late.read())
}

@Test func `accept on what does not listen fails at once`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    test.ring.accept(pair.ours.fd, Token(Kind.accept))
    let completion = try #require(test.completions().first)
    #expect(completion.result < 0 && !completion.hasMore)
}

@Test func `peers are known by their address`() throws {
    for isV4 in [true, false] {
        let listener = try TestListener(isV4: isV4)
        let client = try listener.connect()
        let accepted = Descriptor(fd: Sockets.acceptNow(listener.socket.fd))
        var address = [UInt8](repeating: 0xee, count: 16)
        #expect(unsafe Sockets.peerAddress(accepted.fd, to: &address) == (isV4 ? 4 : 6))
        #expect(address == (isV4 ? TestListener.loopback : TestListener.loopbackV6))
        _ = client.read()
    }
    let pair = SocketPair()
    var address = [UInt8](repeating: 0xee, count: 16)
    #expect(unsafe Sockets.peerAddress(pair.ours.fd, to: &address) == 0)
}
