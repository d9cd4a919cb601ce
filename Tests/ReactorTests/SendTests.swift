import CKernel
import Glibc
import Memory
import Reactor
import Testing

/// A chain that is sent piece by piece, each piece when the last one is done, as the data plane does.
private struct Sender: ~Copyable {
    let pool: BlockPool
    var chain = Chain()
    var gather: GatherSpace
    var sends = 0
    var shortSends = 0

    init(_ bytes: [UInt8], gatheringSends: Int = 4) {
        pool = BlockPool(capacity: 1_024)
        gather = GatherSpace(sends: gatheringSends)
        let isRoom = unsafe bytes.withUnsafeBytes { unsafe pool.append($0, to: &chain) }
        precondition(isRoom)
    }

    mutating func send(_ ring: borrowing Ring, _ fd: Int32) {
        gather.reset()
        ring.send(fd, chain, of: pool, gathering: &gather, Token(Kind.send))
    }

    /// False when the send failed.
    mutating func take(_ completion: Completion) -> Bool {
        guard completion.result > 0 else { return false }
        sends += 1
        if Int(completion.result) < min(chain.count, GatherSpace.blocksPerSend * BlockPool.blockBytes) {
            shortSends += 1
        }
        pool.drop(Int(completion.result), from: &chain)
        return true
    }
}

@Test func `a send delivers its bytes`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    let sent = pattern(500)
    unsafe sent.withUnsafeBytes { bytes in
        unsafe test.ring.send(pair.ours.fd, bytes, Token(Kind.send, 3))
        let completion = test.completions().first
        #expect(completion?.token == Token(Kind.send, 3) && completion?.result == 500)
    }
    #expect(pair.peer.read() == sent)
}

@Test func `a chain of many blocks goes out in one send`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    let sent = pattern(10 * BlockPool.blockBytes + 77)
    var sender = Sender(sent)
    sender.send(test.ring, pair.ours.fd)
    let completion = try #require(test.completions().first)
    #expect(completion.result == Int32(sent.count))
    #expect(pair.peer.read(atMost: 1 << 17) == sent)
}

@Test func `a send gathers a bounded number of blocks`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: 1 << 20)
    let most = GatherSpace.blocksPerSend * BlockPool.blockBytes
    var sender = Sender(pattern(most + 5_000))
    sender.send(test.ring, pair.ours.fd)
    let completion = try #require(test.completions().first)
    #expect(completion.result > 0 && completion.result <= Int32(most))
}

/// Beyond the vectors of a turn a send takes one block; nothing is lost by it.
@Test func `without vectors a send takes the first block alone`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    let sent = pattern(3 * BlockPool.blockBytes)
    var sender = Sender(sent, gatheringSends: 1)
    let other = SocketPair()
    sender.gather.reset()
    test.ring.send(other.ours.fd, sender.chain, of: sender.pool, gathering: &sender.gather, Token(Kind.send, 1))
    test.ring.send(pair.ours.fd, sender.chain, of: sender.pool, gathering: &sender.gather, Token(Kind.send, 2))
    let completions = test.completions(atLeast: 2)
    #expect(completions.first { $0.token.index == 1 }?.result == Int32(sent.count))
    #expect(completions.first { $0.token.index == 2 }?.result == Int32(BlockPool.blockBytes))
    #expect(other.peer.read() == sent)
    #expect(pair.peer.read() == Array(sent.prefix(BlockPool.blockBytes)))
}

/// Small socket buffers make most sends short, and those that find no room wait.
@Test func `short sends go on where they stopped`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: 8_192)
    let sent = pattern(200_000)
    var sender = Sender(sent)
    var received: [UInt8] = []
    var isSending = false
    let deadline = Sockets.nowMilliseconds() + 60_000
    while received.count < sent.count, Sockets.nowMilliseconds() < deadline {
        if !isSending, !sender.chain.isEmpty {
            sender.send(test.ring, pair.ours.fd)
            isSending = true
        }
        for completion in test.completionsSoon(milliseconds: 1) {
            let isFine = sender.take(completion)
            try #require(isFine)
            isSending = false
        }
        received += pair.peer.read(atMost: 50_000) ?? []
    }
    #expect(received == sent)
    let shortSends = sender.shortSends
    let inUse = sender.pool.inUse
    #expect(shortSends > 0 && inUse == 0)
}

@Test func `a send that waits for room can be canceled`() throws {
    let test = try TestRing()
    let pair = try SocketPair(tcpWithSendBuffer: 8_192)
    var sender = Sender(pattern(2_000_000))
    var result: Int32 = 0
    // Nobody reads, so the sends get shorter until one waits. A slow machine may still be moving bytes.
    while result != KernelError.canceled {
        sender.send(test.ring, pair.ours.fd)
        if let completion = test.completionsSoon().first {
            let isFine = sender.take(completion)
            try #require(isFine)
            continue
        }
        test.ring.cancel(Token(Kind.send), Token(Kind.cancel))
        let completions = test.completions(atLeast: 2)
        let sent = try #require(completions.first { $0.token.kind == Kind.send })
        let canceled = try #require(completions.first { $0.token.kind == Kind.cancel })
        result = sent.result
        #expect(result != KernelError.canceled || canceled.result == 0)
        let isFine = result == KernelError.canceled || sender.take(sent)
        try #require(isFine)
    }
}

/// As an error of the operation; a signal would end the process.
@Test func `a send to a peer that is gone fails`() throws {
    let test = try TestRing()
    let pair = SocketPair()
    end(pair.peer)
    var single = Sender([1])
    single.send(test.ring, pair.ours.fd)
    #expect(test.completions().first?.result == KernelError.brokenPipe)
    var many = Sender(pattern(3 * BlockPool.blockBytes))
    many.send(test.ring, pair.ours.fd)
    #expect(test.completions().first?.result == KernelError.brokenPipe)
}
