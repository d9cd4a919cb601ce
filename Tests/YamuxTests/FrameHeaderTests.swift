import Testing
import TestSupport
import Yamux

@Suite struct FrameHeaderTests {
    @Test func aHeaderIsTwelveBytesBigEndian() {
        let header = FrameHeader(type: .windowUpdate, flags: [.syn, .fin], streamID: 0x0102_0304, length: 0xa0b0_c0d0)
        #expect(header.bytes == [0, 1, 0, 5, 1, 2, 3, 4, 0xa0, 0xb0, 0xc0, 0xd0])
    }

    @Test(arguments: [FrameType.data, .windowUpdate, .ping, .goAway])
    func whatIsWrittenIsRead(type: FrameType) {
        var generator = SeededGenerator(seed: 1)
        for flags in (0...15).map({ FrameFlags(rawValue: $0) }) + [FrameFlags(rawValue: 0xffff)] {
            for edge: UInt32 in [0, 1, 0x7fff_ffff, 0x8000_0000, .max, UInt32(truncatingIfNeeded: generator.next())] {
                let header = FrameHeader(type: type, flags: flags, streamID: edge, length: ~edge)
                var reader = FrameReader()
                var events: [FrameEvent] = []
                reader.read(header.bytes) { event, _ in events.append(event) }
                #expect(events.count == 1 && events[0].kind == .header && events[0].header == header)
            }
        }
    }

    @Test func theShortFormsSayWhatTheirNamesSay() {
        #expect(FrameHeader.ping(7).bytes == [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7])
        #expect(FrameHeader.pong(7).bytes == [0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7])
        #expect(FrameHeader.goAway(.internalError).bytes == [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2])
        #expect(FrameHeader.reset(9).bytes == [0, 1, 0, 8, 0, 0, 0, 9, 0, 0, 0, 0])
        #expect(FrameHeader.windowUpdate(9, 3, flags: .ack).bytes == [0, 1, 0, 2, 0, 0, 0, 9, 0, 0, 0, 3])
    }

    /// They lie in slabs by the hundred thousand.
    @Test func theStructsAreSmall() {
        #expect(MemoryLayout<FrameHeader>.size == 12)
        #expect(MemoryLayout<FrameReader>.stride <= 32)
        #expect(MemoryLayout<StreamState>.stride <= 32)
        #expect(MemoryLayout<SessionState>.stride <= 264)
    }

    /// Comparisons look at the number in memory.
    @Test func casesAreTheirRawValues() {
        for number: UInt8 in 0...255 {
            for other: UInt8 in 0...15 {
                if let left = Breach(rawValue: number), let right = Breach(rawValue: other) {
                    #expect((left == right) == (number == other) && (left != right) == (number != other))
                    #expect(!left.description.isEmpty && left.number == number)
                }
                if let left = FrameType(rawValue: number), let right = FrameType(rawValue: other) {
                    #expect((left == right) == (number == other) && (left != right) == (number != other))
                }
                if let left = FrameEvent.Kind(rawValue: number), let right = FrameEvent.Kind(rawValue: other) {
                    #expect((left == right) == (number == other) && (left != right) == (number != other))
                }
            }
        }
    }

    @Test func flagSetsAreSets() {
        let flags: FrameFlags = [.syn, .fin]
        #expect(flags.contains(.syn) && flags.contains(.fin) && !flags.contains(.ack) && !flags.contains(.reset))
        #expect(flags.union(.reset).rawValue == 13)
        #expect(!flags.contains([.syn, .ack]))
    }
}
