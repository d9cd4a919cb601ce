import NIOCore
import Testing

@testable import SocketMaster

@Test func `small pieces are gathered, so that memory stays in proportion`() {
    var queue = InboundQueue()
    var large = ByteBufferAllocator().buffer(capacity: 64 << 10)
    large.writeBytes(pattern(60_000))
    for place in 0..<60_000 { queue.append(large.getSlice(at: place, length: 1)!, allocator: ByteBufferAllocator()) }
    #expect(queue.byteCount == 60_000)
    var bytes: [UInt8] = []
    var pieces = 0
    while let piece = queue.popFirst() {
        bytes += piece.bytes
        pieces += 1
        #expect(piece.storageCapacity <= 128 << 10)
    }
    #expect(bytes == pattern(60_000) && pieces <= 3 && queue.byteCount == 0 && queue.isEmpty)
}

@Test func `large pieces are not copied`() {
    var queue = InboundQueue()
    let large = ByteBuffer(bytes: pattern(64 << 10))
    queue.append(large.getSlice(at: 0, length: 32 << 10)!, allocator: ByteBufferAllocator())
    #expect(queue.popFirst()?.storageCapacity == large.storageCapacity)
}

@Test func `the first bytes can be looked at and dropped wherever they are cut`() {
    for size in [1, 3, 7, 100] {
        var queue = InboundQueue()
        let bytes = pattern(100)
        for start in stride(from: 0, to: 100, by: size) {
            queue.append(ByteBuffer(bytes: bytes[start..<min(start + size, 100)]), allocator: ByteBufferAllocator())
        }
        #expect(queue.peek(limit: 10).bytes == Array(bytes[..<10]))
        queue.drop(35)
        #expect(queue.byteCount == 65)
        var rest: [UInt8] = []
        while let piece = queue.popFirst() { rest += piece.bytes }
        #expect(rest == Array(bytes[35...]))
    }
}

@Test func `only what was flushed is taken, and given up only when it must be`() {
    var queue = OutboundQueue()
    queue.append(ByteBuffer(bytes: [1, 2, 3]), promise: nil)
    #expect(queue.next(limit: 10)?.bytes == nil && queue.byteCount == 3)
    queue.flush()
    queue.append(ByteBuffer(bytes: [4]), promise: nil)
    #expect(queue.flushedBytes == 3 && queue.byteCount == 4)
    #expect(queue.next(limit: 2)?.bytes.bytes == [1, 2])
    #expect(queue.removeUnflushed().map(\.bytes.bytes) == [[4]] && queue.byteCount == 1)
    #expect(queue.next(limit: 0)?.bytes == nil)
    #expect(queue.next(limit: 9)?.bytes.bytes == [3])
    #expect(!queue.hasFlushed && queue.byteCount == 0 && queue.flushedBytes == 0)
}
