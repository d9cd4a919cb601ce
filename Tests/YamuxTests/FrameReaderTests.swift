import Testing
import TestSupport
import Yamux

@Suite struct FrameReaderTests {
    /// What a reader saw, with the pieces of a payload put together again.
    private struct Seen: Equatable {
        var header: FrameHeader
        var payload: [UInt8] = []
        var isComplete = false
    }

    /// Frames of every kind, empty and full ones, and their bytes.
    private static func trace(seed: UInt64, frames: Int) -> (bytes: [UInt8], seen: [Seen]) {
        var generator = SeededGenerator(seed: seed)
        var bytes: [UInt8] = []
        var seen: [Seen] = []
        for _ in 0..<frames {
            let type = FrameType(rawValue: UInt8(generator.number(0...3)))!
            let length = type == .data ? UInt32(generator.number(0...40)) : UInt32(truncatingIfNeeded: generator.next())
            let id = UInt32(truncatingIfNeeded: generator.next())
            let flags = FrameFlags(rawValue: UInt16(truncatingIfNeeded: generator.next()))
            var frame = Seen(header: FrameHeader(type: type, flags: flags, streamID: id, length: length))
            if type == .data {
                frame.payload = (0..<length).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            }
            frame.isComplete = true
            bytes += frame.header.bytes + frame.payload
            seen.append(frame)
        }
        return (bytes, seen)
    }

    private static func read(_ chunks: [[UInt8]]) -> [Seen] {
        var reader = FrameReader()
        var seen: [Seen] = []
        for chunk in chunks {
            reader.read(chunk) { event, piece in
                if event.kind == .header {
                    let hasPayload = event.header.type == .data && event.header.length > 0
                    seen.append(Seen(header: event.header, isComplete: !hasPayload))
                } else {
                    #expect(event.kind == .payload && !piece.isEmpty && event.header == seen.last?.header)
                    seen[seen.count - 1].payload += piece
                    seen[seen.count - 1].isComplete = event.isPayloadEnd
                }
            }
        }
        #expect(!reader.isMidFrame)
        return seen
    }

    @Test func everySplitInTwoReadsTheSame() {
        let (bytes, seen) = Self.trace(seed: 2, frames: 24)
        for split in 0...bytes.count {
            #expect(Self.read([Array(bytes[..<split]), Array(bytes[split...])]) == seen, "split \(split)")
        }
    }

    @Test func everySplitInThreeReadsTheSame() {
        let (bytes, seen) = Self.trace(seed: 3, frames: 4)
        for first in 0...bytes.count {
            for second in first...bytes.count {
                let chunks = [bytes[..<first], bytes[first..<second], bytes[second...]].map { Array($0) }
                #expect(Self.read(chunks) == seen, "splits \(first) and \(second)")
            }
        }
    }

    @Test func everyRandomSplitReadsTheSame() {
        for seed in seeds(300) {
            var generator = SeededGenerator(seed: seed)
            let (bytes, seen) = Self.trace(seed: seed, frames: 30)
            var chunks: [[UInt8]] = []
            var offset = 0
            while offset < bytes.count {
                let count = min(bytes.count - offset, generator.number(0...17))
                chunks.append(Array(bytes[offset..<offset + count]))
                offset += count
            }
            #expect(Self.read(chunks) == seen, "seed \(seed)")
        }
    }

    @Test func readingGoesOnInTheMiddleOfTheBytes() {
        var reader = FrameReader()
        let bytes = [9, 9, 9] + FrameHeader.ping(5).bytes
        var offset = 3
        let event = unsafe bytes.withUnsafeBytes { unsafe reader.next(in: $0, offset: &offset) }
        #expect(event.kind == .header && event.header == .ping(5) && offset == bytes.count)
    }

    @Test func noBytesAreNoEvent() {
        var reader = FrameReader()
        reader.read([]) { _, _ in Issue.record("an event from nothing") }
        #expect(!reader.isMidFrame)
    }

    @Test func midFrameIsSeenInHeaderAndPayload() {
        var reader = FrameReader()
        let bytes = FrameHeader.data(1, 2).bytes + [1, 2]
        for (index, byte) in bytes.enumerated() {
            #expect(reader.isMidFrame == (index > 0))
            reader.read([byte]) { _, _ in }
        }
        #expect(!reader.isMidFrame)
    }

    /// The length of other frames is a value: nothing follows it.
    @Test(arguments: [FrameType.windowUpdate, .ping, .goAway])
    func onlyDataHasAPayload(type: FrameType) {
        let first = FrameHeader(type: type, flags: [], streamID: 3, length: 100)
        let seen = Self.read([first.bytes + FrameHeader.ping(1).bytes])
        #expect(seen.map(\.header) == [first, .ping(1)])
    }

    @Test func aDataFrameMayBeAsLongAsItsLengthFieldSays() {
        var reader = FrameReader()
        let bytes = FrameHeader.data(1, .max).bytes + [UInt8](repeating: 0, count: 1000)
        var counted = 0
        reader.read(bytes) { event, piece in
            counted += piece.count
            #expect(!event.isPayloadEnd)
        }
        #expect(counted == 1000 && reader.isMidFrame)
    }

    @Test func everyOtherVersionAndTypeIsABreachThatStays() {
        for byte: UInt8 in 1...255 {
            for (position, breach) in [(0, Breach.version), (1, Breach.frameType)] where position == 0 || byte > 3 {
                for split in [0, 1, 7, 12] {
                    var bytes = FrameHeader.ping(1).bytes
                    bytes[position] = byte
                    var reader = FrameReader()
                    var events: [FrameEvent] = []
                    reader.read(Array(bytes[..<split])) { event, _ in events.append(event) }
                    reader.read(Array(bytes[split...]) + FrameHeader.ping(1).bytes) { event, _ in events.append(event) }
                    reader.read(FrameHeader.ping(1).bytes) { event, _ in events.append(event) }
                    #expect(events.allSatisfy { $0.kind == .breach && $0.breach == breach } && !events.isEmpty)
                }
            }
        }
    }

    /// Payload that is spliced is told to the reader, which goes on behind it.
    @Test func aPayloadMayGoAnotherWay() {
        for taken in 0...10 {
            for skipped in 0...(10 - taken) {
                var reader = FrameReader()
                let bytes = FrameHeader(type: .data, flags: [], streamID: 1, length: 10).bytes
                reader.read(bytes + [UInt8](repeating: 7, count: taken)) { _, _ in }
                #expect(reader.payloadLeft == 10 - taken)
                #expect(reader.skipPayload(skipped) == (taken + skipped == 10))
                var rest: [FrameEvent.Kind] = []
                let left = [UInt8](repeating: 7, count: 10 - taken - skipped)
                reader.read(left + FrameHeader.pong(1).bytes) { event, _ in rest.append(event.kind) }
                #expect(rest.last == .header && rest.count == (left.isEmpty ? 1 : 2) && !reader.isMidFrame)
            }
        }
    }
}
