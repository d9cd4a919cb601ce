import NIOCore
import NIOEmbedded
import Testing
import Yamux

@testable import SocketMaster

/// Serves one client who says these bytes, gets them back and ends.
private func serve(_ bytes: [UInt8], _ fixture: Fixture) throws -> UInt32 {
    let (id, stream, _) = try fixture.open(bytes)
    stream.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.received == bytes, "stream \(id)")
    fixture.send(fixture.proxy.finish(id))
    stream.close(promise: nil)
    fixture.exchange()
    #expect(fixture.proxy.streams[id]?.isFinished == true, "stream \(id)")
    return id
}

@Test func `ids go round, beside a stream that lives across the border`() throws {
    let fixture = try Fixture()
    fixture.proxy.nextID = .max - 6
    let (id, stream, recorder) = try fixture.open([1])
    let served = try (0..<8).map { try serve([UInt8($0)], fixture) }
    #expect(served == [.max - 4, .max - 2, .max, 1, 3, 5, 7, 9])
    fixture.send(fixture.proxy.data(id, [2]))
    stream.writeAndFlush(ByteBuffer(bytes: [3]), promise: nil)
    fixture.exchange()
    #expect(recorder.received == [1, 2] && fixture.proxy.streams[id]?.received == [3])
    #expect(fixture.handler.streams.count == 1 && fixture.events.isEmpty)
}

@Test func `frames that come late for streams on both sides of the border are dropped`() throws {
    let fixture = try Fixture()
    fixture.proxy.nextID = .max - 2
    for id in try (0..<4).map({ try serve([UInt8($0)], fixture) }) {
        fixture.deliver(FrameHeader.windowUpdate(id, 9, flags: []).bytes + FrameHeader.reset(id).bytes)
        fixture.deliver(FrameHeader(type: .data, flags: [], streamID: id, length: 2).bytes + [1, 2])
    }
    _ = try serve([9], fixture)
    #expect(fixture.events.isEmpty)
    fixture.deliver(FrameHeader.windowUpdate(fixture.proxy.nextID, 9, flags: []).bytes)
    #expect(fixture.events.count == 1, "nobody has opened that one yet")
}

@Test func `an id that comes again is a new connection, however the one before it has ended`() throws {
    let fixture = try Fixture()
    for round in 1...3 {
        for id in [UInt32.max, 1, 3] {
            fixture.proxy.nextID = id
            #expect(try serve([UInt8(round)], fixture) == id)
            fixture.proxy.nextID = id
            let (_, stream, recorder) = try fixture.open([7])
            // Who has reset an id uses it again after the answer to a later ping. The application still has the old
            // connection.
            fixture.send(fixture.proxy.reset(id), FrameHeader.ping(UInt32(round)).bytes)
            #expect(fixture.proxy.frames.last == .pong(UInt32(round)))
            fixture.proxy.nextID = id
            #expect(try serve([8], fixture) == id)
            stream.writeAndFlush(ByteBuffer(bytes: [9]), promise: nil)
            fixture.exchange()
            #expect(recorder.received == [7] && fixture.proxy.streams[id]?.received == [8])
        }
    }
    #expect(fixture.handler.streams.isEmpty && fixture.events.isEmpty)
}

/// As hashicorp/yamux does, which looks into its map and nowhere else.
@Test func `an id that is in use does not come again`() throws {
    for id: UInt32 in [1, .max] {
        let fixture = try Fixture()
        fixture.proxy.nextID = id
        let (_, _, recorder) = try fixture.open([1])
        fixture.deliver(FrameHeader.windowUpdate(id, 0, flags: .syn).bytes)
        #expect(fixture.events.count == 1 && recorder.events.last == "inactive")
    }
}
