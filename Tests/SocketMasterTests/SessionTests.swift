import NIOCore
import NIOEmbedded
import Testing
import TestSupport
import Yamux

@testable import SocketMaster

@Test func `pings are answered`() throws {
    let fixture = try Fixture()
    fixture.send(FrameHeader.ping(77).bytes)
    #expect(fixture.proxy.frames == [.pong(77)])
}

@Test func `a proxy that is silent is asked, and given up when it does not answer`() throws {
    let fixture = try Fixture()
    for _ in 0..<60 { fixture.advance(by: .seconds(1)) }
    #expect(fixture.events.isEmpty)
    #expect(fixture.proxy.frames.count { $0.type == .ping } >= 3)
    fixture.proxy.answersPings = false
    for _ in 0..<30 { fixture.advance(by: .seconds(1)) }
    #expect(fixture.events.count == 1 && fixture.events[0].contains("does not answer"))
}

@Test func `streams beyond the backlog are refused, and those before them are served in their order`() throws {
    let fixture = try Fixture()
    fixture.acceptor.isWilling = false
    for number in 0..<300 { fixture.send(fixture.proxy.open([UInt8(truncatingIfNeeded: number)])) }
    #expect(fixture.proxy.streams.values.count { $0.isReset } == 44)
    #expect(fixture.proxy.streams.values.allSatisfy { !$0.state.isAcknowledged })
    fixture.acceptor.isWilling = true
    fixture.handler.acceptQueued()
    fixture.advance(by: .seconds(1))
    #expect(fixture.acceptor.accepted.count == 256)
    #expect(fixture.acceptor.accepted.map { $0.recorder.received } == (0..<256).map { [UInt8($0)] })
    #expect(fixture.proxy.streams.values.count { $0.state.isAcknowledged } == 256)
}

@Test func `a stream that was taken back before it was accepted is forgotten, and does not count`() throws {
    let fixture = try Fixture()
    fixture.acceptor.isWilling = false
    for _ in 0..<1_000 {
        let id = fixture.proxy.nextID
        fixture.send(fixture.proxy.open([1]), fixture.proxy.reset(id))
    }
    #expect(fixture.handler.streams.isEmpty && fixture.handler.queuedCount == 0 && fixture.handler.queued.isEmpty)
    #expect(fixture.proxy.frames.isEmpty)
    fixture.acceptor.isWilling = true
    _ = try fixture.open([2])
    #expect(fixture.acceptor.accepted.count == 1)
}

/// A proxy that takes a stream back asks by a ping whether anybody has seen it. The pong without an acknowledgement
/// before it says that nobody has, and then the request goes to somebody else.
@Test func `what the application may have seen is acknowledged before the pong`() throws {
    let fixture = try Fixture()
    let (id, _, recorder) = try fixture.open([1])
    #expect(fixture.proxy.streams[id]?.state.isAcknowledged == false && recorder.received == [1])
    fixture.proxy.frames.removeAll()
    fixture.deliver(fixture.proxy.reset(id) + FrameHeader.ping(5).bytes)
    while let bytes = try fixture.channel.readOutbound(as: ByteBuffer.self) {
        fixture.proxy.frames += headers(bytes.bytes)
    }
    #expect(fixture.proxy.frames.map(\.type) == [.windowUpdate, .ping])
    #expect(fixture.proxy.frames.first?.flags == .ack)
}

@Test func `a drain refuses what nobody has seen, lets the rest go on, and then ends the session`() throws {
    let fixture = try Fixture()
    let (id, stream, _) = try fixture.open([1])
    fixture.acceptor.isWilling = false
    let waiting = fixture.proxy.nextID
    fixture.send(fixture.proxy.open([2]))
    fixture.handler.drain(timeout: .seconds(30))
    fixture.exchange()
    #expect(fixture.proxy.goAway == 0)
    #expect(fixture.proxy.streams[waiting]?.isReset == true)
    let order = fixture.proxy.frames.map(\.type)
    let acknowledged = fixture.proxy.frames.firstIndex { $0.streamID == id }
    #expect(try #require(acknowledged) < #require(order.firstIndex(of: .goAway)))
    let late = fixture.proxy.nextID
    fixture.send(fixture.proxy.open([3]))
    #expect(fixture.proxy.streams[late]?.isReset == true)

    fixture.send(fixture.proxy.data(id, [4]))
    stream.writeAndFlush(ByteBuffer(bytes: [5]), promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.received == [5] && fixture.events.isEmpty && fixture.channel.isActive)
    fixture.send(fixture.proxy.finish(id))
    #expect(fixture.handler.streams.isEmpty)
    fixture.advance(by: .seconds(3))
    #expect(fixture.events == ["ended(reason: \"all was said\")"] && !fixture.channel.isActive)
}

@Test func `what nobody has seen is given back behind GoAway, not before it`() throws {
    let fixture = try Fixture()
    fixture.acceptor.isWilling = false
    let waiting = fixture.proxy.nextID
    fixture.send(fixture.proxy.open([1]))
    fixture.handler.drain(timeout: .seconds(30))
    fixture.exchange()
    let goAway = try #require(fixture.proxy.frames.firstIndex { $0.type == .goAway })
    let reset = try #require(fixture.proxy.frames.firstIndex { $0.streamID == waiting && $0.flags.contains(.reset) })
    #expect(goAway < reset)
}

@Test func `a withdrawal accepts nothing more and gives it back later, and what the application has goes on`() throws {
    let fixture = try Fixture()
    let (id, stream, _) = try fixture.open([1])
    fixture.acceptor.isWilling = false
    let waiting = fixture.proxy.nextID
    fixture.send(fixture.proxy.open([2]))
    let withdrawal = try #require(fixture.handler.withdraw())
    #expect(!withdrawal.isFulfilled && fixture.handler.withdraw() == nil)
    fixture.acceptor.isWilling = true
    fixture.exchange()
    fixture.handler.acceptQueued()
    #expect(fixture.proxy.goAway == 0 && withdrawal.isFulfilled && fixture.acceptor.accepted.count == 1)
    #expect(fixture.proxy.streams[waiting]?.isReset == false)
    fixture.handler.giveBack()
    fixture.advance(by: .minutes(10))
    #expect(fixture.proxy.streams[waiting]?.isReset == true)
    stream.writeAndFlush(ByteBuffer(bytes: [5]), promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.received == [5] && fixture.events.isEmpty)

    // A drain bounds it after all.
    fixture.handler.drain(timeout: .seconds(10))
    fixture.advance(by: .seconds(9))
    #expect(fixture.proxy.streams[id]?.isReset == false)
    fixture.advance(by: .seconds(5))
    #expect(fixture.proxy.streams[id]?.isReset == true && fixture.events.count == 1)
}

@Test func `a drain that takes too long resets what is left`() throws {
    let fixture = try Fixture()
    let (id, _, recorder) = try fixture.open([1])
    fixture.handler.drain(timeout: .seconds(10))
    fixture.advance(by: .seconds(9))
    #expect(fixture.proxy.streams[id]?.isReset == false)
    fixture.advance(by: .seconds(2))
    #expect(fixture.proxy.streams[id]?.isReset == true && recorder.events.last == "inactive")
    fixture.advance(by: .seconds(3))
    #expect(fixture.events.count == 1)
}

@Test func `a session that the proxy drains goes on, and ends when nothing has been left for a while`() throws {
    let fixture = try Fixture()
    let (id, stream, _) = try fixture.open([1])
    fixture.send(FrameHeader.goAway(.normal).bytes)
    #expect(fixture.events == ["draining"])
    _ = try fixture.open([2]).stream.close()
    fixture.advance(by: .seconds(90))
    stream.writeAndFlush(ByteBuffer(bytes: [3]), promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.received == [3])
    stream.close(promise: nil)
    fixture.send(fixture.proxy.finish(id))
    fixture.advance(by: .seconds(40))
    fixture.advance(by: .seconds(3))
    #expect(fixture.events.count == 2)
}

@Test func `streams take turns, so that a large one does not stop a small one`() throws {
    let fixture = try Fixture()
    let (large, first, _) = try fixture.open()
    let (small, second, _) = try fixture.open()
    fixture.advance(by: .seconds(1))
    fixture.proxy.frames.removeAll()
    first.writeAndFlush(ByteBuffer(bytes: pattern(256 << 10)), promise: nil)
    second.writeAndFlush(ByteBuffer(bytes: [1]), promise: nil)
    fixture.exchange()
    let data = fixture.proxy.frames.filter { $0.type == .data }
    #expect(data.prefix(2).map(\.streamID) == [large, small] && data[0].length == 64 << 10)
}

@Test func `a proxy that floods with pings and reads nothing does not fill our memory`() throws {
    let fixture = try Fixture()
    for _ in 0..<100 {
        fixture.deliver((0..<1_000).flatMap { FrameHeader.ping($0).bytes })
        if !fixture.events.isEmpty { break }
    }
    #expect(fixture.events.first?.contains("too many pings") == true)
}

@Test func `every way to break the protocol ends the session, and the channel with it`() throws {
    let breaches: [[UInt8]] = [
        [1] + [UInt8](repeating: 0, count: 11),
        [0, 4] + [UInt8](repeating: 0, count: 10),
        FrameHeader(type: .data, flags: [], streamID: 0, length: 1).bytes,
        FrameHeader(type: .data, flags: [], streamID: 7, length: 1).bytes,
        FrameHeader(type: .windowUpdate, flags: .syn, streamID: 2, length: 0).bytes,
        FrameHeader(type: .data, flags: .syn, streamID: 1, length: 256 << 10 + 1).bytes,
        FrameHeader(type: .windowUpdate, flags: .syn, streamID: 1, length: .max).bytes,
        FrameHeader(type: .ping, flags: [], streamID: 0, length: 1).bytes,
        FrameHeader.goAway(.protocolError).bytes,
        FrameHeader(type: .goAway, flags: [], streamID: 0, length: 9).bytes,
        FrameHeader(type: .windowUpdate, flags: .syn, streamID: 1, length: 0).bytes
            + FrameHeader(type: .windowUpdate, flags: .syn, streamID: 1, length: 0).bytes,
    ]
    for bytes in breaches {
        let fixture = try Fixture()
        fixture.deliver(bytes)
        #expect(fixture.events.count == 1, "\(bytes)")
        #expect(!fixture.channel.isActive)
    }
}

@Test func `no bytes whatever make the session trap`() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<300 {
        let fixture = try Fixture()
        fixture.acceptor.prepare = { _, recorder in recorder.echoes = true }
        for _ in 0..<60 where fixture.events.isEmpty {
            // Headers that are nearly right go further than noise.
            let header = FrameHeader(
                type: [.data, .data, .windowUpdate, .windowUpdate, .ping, .goAway].randomElement(using: &random)!,
                flags: FrameFlags(rawValue: UInt16([0, 0, 0, 1, 1, 2, 4, 5, 8, 9, 15].randomElement(using: &random)!)),
                streamID: UInt32.random(in: 0...9, using: &random),
                length: [0, 0, 1, 5, 300, 70_000, .max].randomElement(using: &random)!)
            let payload = header.type == .data && header.length < 100_000 ? Int(header.length) : 0
            fixture.deliver(header.bytes + [UInt8](repeating: 7, count: payload))
            fixture.loop.run()
            while try fixture.channel.readOutbound(as: ByteBuffer.self) != nil {}
            fixture.loop.advanceTime(by: .milliseconds(Int64.random(in: 0...500, using: &random)))
        }
    }
    #expect(Bool(true), "seed \(seed)")
}

/// The headers in these bytes, without judgement.
private func headers(_ bytes: [UInt8]) -> [FrameHeader] {
    var reader = FrameReader()
    var offset = 0
    var headers: [FrameHeader] = []
    while true {
        let event = unsafe bytes.withUnsafeBytes { unsafe reader.next(in: $0, offset: &offset) }
        guard event.kind != .needsBytes, event.kind != .breach else { return headers }
        if event.kind == .header { headers.append(event.header) }
    }
}
