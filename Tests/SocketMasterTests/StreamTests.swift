import NIOCore
import NIOEmbedded
import Testing
import Yamux

@testable import SocketMaster

@Test func `what the client says is read, and what is written reaches it`() throws {
    let fixture = try Fixture()
    let (id, stream, recorder) = try fixture.open(pattern(1_000))
    #expect(recorder.received == pattern(1_000))
    stream.writeAndFlush(ByteBuffer(bytes: pattern(5_000)), promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.received == pattern(5_000))
    #expect(recorder.events == ["active"])
}

@Test func `a stream is acknowledged when the application has it, and with what it says if it is quick`() throws {
    let fixture = try Fixture()
    fixture.acceptor.isWilling = false
    fixture.send(fixture.proxy.open([1]))
    fixture.advance(by: .seconds(5))
    #expect(fixture.proxy.frames.allSatisfy { $0.streamID != 1 })
    fixture.acceptor.isWilling = true
    fixture.handler.acceptQueued()
    fixture.exchange()
    #expect(fixture.proxy.streams[1]?.state.isAcknowledged == false)
    fixture.advance(by: .milliseconds(20))
    #expect(fixture.proxy.streams[1]?.state.isAcknowledged == true)

    let (id, stream, _) = try fixture.open([2])
    stream.writeAndFlush(ByteBuffer(bytes: [3]), promise: nil)
    fixture.advance(by: .seconds(1))
    #expect(fixture.proxy.frames.filter { $0.streamID == id }.map(\.type) == [.data])
}

@Test func `no more is sent than the window allows, in frames of 256 KiB at most`() throws {
    let fixture = try Fixture()
    fixture.proxy.isGenerous = false
    let (id, stream, recorder) = try fixture.open()
    let bytes = pattern(1_000_000)
    stream.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.received.count == 256 << 10)
    #expect(fixture.proxy.largestFrame == 256 << 10)
    #expect(!stream.isWritable && recorder.writability == [false])
    while fixture.proxy.streams[id]!.received.count < bytes.count {
        let before = fixture.proxy.streams[id]!.received.count
        fixture.send(fixture.proxy.credit(id, 150_000))
        #expect(fixture.proxy.streams[id]!.received.count > before)
    }
    #expect(fixture.proxy.streams[id]?.received == bytes)
    #expect(recorder.writability == [false, true])
}

@Test func `a write is done when its last byte has been sent, and not before`() throws {
    let fixture = try Fixture()
    fixture.proxy.isGenerous = false
    let (id, stream, _) = try fixture.open()
    let first = stream.eventLoop.makePromise(of: Void.self)
    let second = stream.eventLoop.makePromise(of: Void.self)
    let empty = stream.eventLoop.makePromise(of: Void.self)
    var done: [Int] = []
    first.futureResult.assumeIsolated().whenSuccess { done.append(1) }
    second.futureResult.assumeIsolated().whenSuccess { done.append(2) }
    empty.futureResult.assumeIsolated().whenSuccess { done.append(3) }
    stream.write(ByteBuffer(bytes: pattern(200_000)), promise: first)
    stream.write(ByteBuffer(bytes: pattern(200_000)), promise: second)
    stream.writeAndFlush(ByteBuffer(), promise: empty)
    fixture.exchange()
    #expect(done == [1])
    fixture.send(fixture.proxy.credit(id, 200_000))
    #expect(done == [1, 2, 3])
}

@Test func `the window opens as the application reads, and not before`() throws {
    let fixture = try Fixture()
    fixture.acceptor.prepare = { stream, _ in try stream.syncOptions?.setOption(.autoRead, value: false) }
    let (id, stream, recorder) = try fixture.open()
    fixture.send(fixture.proxy.data(id, pattern(256 << 10)))
    fixture.advance(by: .seconds(60))
    #expect(recorder.received.isEmpty && fixture.proxy.window(id) == 0)
    stream.read()
    fixture.exchange()
    #expect(recorder.received == pattern(256 << 10))
    #expect(fixture.proxy.window(id) >= 256 << 10)
}

@Test func `a client that says more than its window ends the session`() throws {
    let fixture = try Fixture()
    fixture.acceptor.prepare = { stream, _ in try stream.syncOptions?.setOption(.autoRead, value: false) }
    let (id, stream, recorder) = try fixture.open()
    let excess = FrameHeader(type: .data, flags: [], streamID: id, length: 256 << 10 + 1)
    fixture.deliver(excess.bytes)
    #expect(fixture.events.last?.contains("more data than a window allowed") == true)
    #expect(!stream.isActive && recorder.events.last == "inactive")
}

@Test func `the window of a fast flow grows, up to its bound`() throws {
    var settings = SessionSettings()
    settings.configuration.maximumWindow = 1 << 20
    let fixture = try Fixture(settings)
    let (id, _, recorder) = try fixture.open()
    var sent = 0
    for _ in 0..<50 {
        let count = fixture.proxy.window(id)
        fixture.send(fixture.proxy.data(id, pattern(count)))
        sent += count
    }
    #expect(recorder.received.count == sent)
    #expect(fixture.proxy.window(id) == 1 << 20)
    #expect(fixture.handler.extraWindow == (1 << 20) - (256 << 10))
    fixture.send(fixture.proxy.reset(id))
    #expect(fixture.handler.extraWindow == 0)
}

@Test func `the client's end is told after its bytes, and the service goes on`() throws {
    let fixture = try Fixture()
    fixture.acceptor.prepare = { stream, _ in
        try stream.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
    }
    let (id, stream, recorder) = try fixture.open()
    fixture.send(fixture.proxy.data(id, pattern(100_000)), fixture.proxy.finish(id))
    #expect(recorder.received == pattern(100_000))
    #expect(recorder.events == ["active", "input closed"] && stream.isActive)
    stream.writeAndFlush(ByteBuffer(bytes: [1, 2, 3]), promise: nil)
    stream.close(mode: .output, promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.received == [1, 2, 3] && fixture.proxy.streams[id]?.isFinished == true)
    #expect(recorder.events == ["active", "input closed", "output closed", "inactive"])
    #expect(fixture.handler.streams.isEmpty)
}

@Test func `without half-closure the client's end closes, and what was flushed is still sent`() throws {
    let fixture = try Fixture()
    fixture.proxy.isGenerous = false
    let (id, stream, recorder) = try fixture.open()
    stream.writeAndFlush(ByteBuffer(bytes: pattern(500_000)), promise: nil)
    fixture.exchange()
    fixture.send(fixture.proxy.finish(id))
    #expect(recorder.events.last == "inactive")
    fixture.send(fixture.proxy.credit(id, 200_000))
    fixture.send(fixture.proxy.credit(id, 200_000))
    #expect(fixture.proxy.streams[id]?.received == pattern(500_000))
    #expect(fixture.proxy.streams[id]?.isFinished == true && fixture.handler.streams.isEmpty)
}

@Test func `the service's end leaves the client's direction open`() throws {
    let fixture = try Fixture()
    let (id, stream, recorder) = try fixture.open()
    stream.close(mode: .output, promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.isFinished == true)
    fixture.send(fixture.proxy.data(id, pattern(1_000)))
    #expect(recorder.received == pattern(1_000) && stream.isActive)
    #expect(throws: ChannelError.outputClosed) { try stream.writeAndFlush(ByteBuffer(bytes: [1])).wait() }
}

@Test func `close is complete when the end has been sent`() throws {
    let fixture = try Fixture()
    let (id, stream, _) = try fixture.open()
    var isClosed = false
    stream.closeFuture.assumeIsolated().whenSuccess { isClosed = true }
    stream.writeAndFlush(ByteBuffer(bytes: [1]), promise: nil)
    stream.close(promise: nil)
    #expect(!isClosed && !stream.isActive)
    fixture.exchange()
    #expect(isClosed && fixture.proxy.streams[id]?.isFinished == true)
}

@Test func `what has arrived before a reset is delivered before the error`() throws {
    let fixture = try Fixture()
    fixture.acceptor.prepare = { stream, _ in try stream.syncOptions?.setOption(.autoRead, value: false) }
    let (id, stream, recorder) = try fixture.open()
    fixture.send(fixture.proxy.data(id, pattern(10_000)))
    #expect(recorder.received.isEmpty)
    let write = stream.eventLoop.makePromise(of: Void.self)
    stream.write(ByteBuffer(bytes: [1]), promise: write)
    fixture.send(fixture.proxy.reset(id))
    #expect(recorder.received == pattern(10_000))
    #expect(recorder.events.count == 3 && recorder.events[1].hasPrefix("error") && recorder.events[2] == "inactive")
    #expect(throws: IOError.self) { try write.futureResult.wait() }
}

@Test func `what has arrived before the proxy was lost is delivered before the error`() throws {
    let fixture = try Fixture()
    fixture.acceptor.prepare = { stream, _ in try stream.syncOptions?.setOption(.autoRead, value: false) }
    let (id, stream, recorder) = try fixture.open()
    fixture.send(fixture.proxy.data(id, pattern(10_000)))
    let write = stream.eventLoop.makePromise(of: Void.self)
    stream.write(ByteBuffer(bytes: [1]), promise: write)
    fixture.channel.close(promise: nil)
    fixture.exchange()
    #expect(recorder.received == pattern(10_000))
    #expect(recorder.events[1].contains("the proxy has closed it") && recorder.events[2] == "inactive")
    #expect(throws: SocketMasterError.self) { try write.futureResult.wait() }
    #expect(throws: ChannelError.ioOnClosedChannel) { try stream.writeAndFlush(ByteBuffer(bytes: [1])).wait() }
}

@Test func `a reset of the service's own is seen by the client, and ends the channel`() throws {
    let fixture = try Fixture()
    let (id, stream, recorder) = try fixture.open()
    fixture.advance(by: .seconds(1))
    stream.writeAndFlush(ByteBuffer(bytes: pattern(10)), promise: nil)
    stream.triggerUserOutboundEvent(ResetConnection(), promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.isReset == true && recorder.events.last == "inactive")
    #expect(fixture.handler.streams.isEmpty)
}

@Test func `what a closed connection still receives is dropped, and does not go on for ever`() throws {
    let fixture = try Fixture()
    let (id, stream, _) = try fixture.open()
    stream.close(promise: nil)
    fixture.exchange()
    fixture.send(fixture.proxy.data(id, pattern(200_000)))
    #expect(fixture.handler.streams.count == 1)
    fixture.advance(by: .seconds(31))
    fixture.advance(by: .seconds(2))
    #expect(fixture.proxy.streams[id]?.isReset == true && fixture.handler.streams.isEmpty)
}

@Test func `the options of a socket that mean something without one are there, others are refused`() throws {
    let fixture = try Fixture()
    let (_, stream, _) = try fixture.open()
    let options = try #require(stream.syncOptions)
    #expect(try options.getOption(.autoRead) && !options.getOption(.allowRemoteHalfClosure))
    try options.setOption(.writeBufferWaterMark, value: .init(low: 10, high: 20))
    #expect(try options.getOption(.writeBufferWaterMark).high == 20)
    stream.write(ByteBuffer(bytes: pattern(21)), promise: nil)
    #expect(try !stream.isWritable && options.getOption(.bufferedWritableBytes) == 21)
    try options.setOption(.tcpOption(.tcp_nodelay), value: 1)
    #expect(throws: ChannelError.operationUnsupported) { try options.setOption(.backlog, value: 1) }
    #expect(throws: ChannelError.operationUnsupported) {
        try stream.setOption(.socketOption(.so_keepalive), value: 1).wait()
    }
}

@Test func `a connection whose initializer fails was never accepted`() throws {
    struct Failure: Error {}
    let fixture = try Fixture()
    fixture.acceptor.prepare = { _, _ in throw Failure() }
    fixture.send(fixture.proxy.open([1]))
    #expect(fixture.proxy.streams[1]?.isReset == true && fixture.proxy.streams[1]?.state.isAcknowledged == false)
    #expect(fixture.handler.streams.isEmpty)
}

@Test(arguments: ["reset", "loss", "close", "reset of the service's own"])
func `who is told that a write has failed may use the connection, and close it`(end: String) throws {
    let fixture = try Fixture()
    let (id, stream, recorder) = try fixture.open()
    var buffered: [Int] = []
    for _ in 0..<2 {
        let write = stream.eventLoop.makePromise(of: Void.self)
        write.futureResult.assumeIsolated().whenFailure { _ in
            buffered.append((try? stream.syncOptions?.getOption(.bufferedWritableBytes)) ?? -1)
            stream.writeAndFlush(ByteBuffer(bytes: [1]), promise: nil)
            stream.close(promise: nil)
        }
        stream.write(ByteBuffer(bytes: pattern(10)), promise: write)
    }
    switch end {
    case "reset": fixture.send(fixture.proxy.reset(id))
    case "loss": fixture.channel.close(promise: nil)
    case "close": stream.close(promise: nil)
    default: stream.triggerUserOutboundEvent(ResetConnection(), promise: nil)
    }
    fixture.exchange()
    #expect(buffered == [0, 0] && recorder.events.last == "inactive" && stream.closeFuture.isFulfilled)
}

/// A peer may say FIN beside data, though the proxy does not.
@Test func `an end that comes with bytes is told behind them, even if the service has ended before they came`() throws {
    let fixture = try Fixture()
    fixture.acceptor.prepare = { stream, _ in
        try stream.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
    }
    let (id, stream, recorder) = try fixture.open()
    let header = FrameHeader(type: .data, flags: .fin, streamID: id, length: 1_000)
    fixture.deliver(header.bytes + pattern(500))
    stream.close(mode: .output, promise: nil)
    fixture.exchange()
    fixture.deliver(Array(pattern(1_000)[500...]))
    fixture.exchange()
    #expect(recorder.received == pattern(1_000) && recorder.events.suffix(2) == ["input closed", "inactive"])
    #expect(fixture.handler.streams.isEmpty)
}

/// A handler that asks for more before it looks at what it has.
private final class EagerReader: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    var received: [UInt8] = []

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.read()
        received += Self.unwrapInboundIn(data).bytes
    }
}

@Test func `bytes that a reset leaves are delivered in their order, whenever the next are asked for`() throws {
    let fixture = try Fixture()
    let reader = EagerReader()
    fixture.acceptor.prepare = { stream, _ in
        try stream.syncOptions?.setOption(.autoRead, value: false)
        try stream.pipeline.syncOperations.addHandler(reader, position: .first)
    }
    let (id, _, recorder) = try fixture.open()
    for place in 0..<10 {
        fixture.send(fixture.proxy.data(id, Array(pattern(10_000)[place * 1_000..<(place + 1) * 1_000])))
    }
    fixture.send(fixture.proxy.reset(id))
    #expect(reader.received == pattern(10_000) && recorder.events.last == "inactive")
}
