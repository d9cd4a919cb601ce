import Glibc
import TestSupport
import Yamux

extension FrameHeader {
    /// The header's bytes, written by the code under test.
    var bytes: [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: FrameHeader.byteCount) { buffer, count in
            unsafe write(to: UnsafeMutableRawPointer(buffer.baseAddress!))
            count = FrameHeader.byteCount
        }
    }

    static func data(_ streamID: UInt32, _ length: UInt32, _ flags: FrameFlags = []) -> FrameHeader {
        FrameHeader(type: .data, flags: flags, streamID: streamID, length: length)
    }

    static func credit(_ streamID: UInt32, _ length: UInt32, _ flags: FrameFlags = []) -> FrameHeader {
        FrameHeader(type: .windowUpdate, flags: flags, streamID: streamID, length: length)
    }
}

extension FrameReader {
    /// Reads all of `bytes` and calls `body` with every event and the bytes of its piece. Ends at a breach.
    mutating func read(_ bytes: [UInt8], _ body: (FrameEvent, ArraySlice<UInt8>) -> Void) {
        var offset = 0
        while true {
            let event = unsafe bytes.withUnsafeBytes { unsafe next(in: $0, offset: &offset) }
            switch event.kind {
            case .needsBytes:
                precondition(offset == bytes.count, "bytes were left behind")
                return
            case .breach:
                body(event, [])
                return
            case .header, .payload:
                body(event, bytes[event.payloadOffset..<event.payloadOffset + event.payloadCount])
            }
        }
    }
}

/// Bytes whose value tells stream, direction and position, so that a piece in the wrong place is noticed.
enum Pattern {
    private static let period = 65_521
    private static let chunk = 65_536
    private static let table: [UInt8] = {
        var generator = SeededGenerator(seed: 42)
        let once = (0..<period).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        return Array((once + once + once).prefix(period + chunk))
    }()

    private static func start(_ streamID: UInt32, _ isOurs: Bool, _ position: Int) -> Int {
        (Int(streamID) * 7919 + (isOurs ? 0 : 31_337) + position) % period
    }

    static func append(_ count: Int, streamID: UInt32, isOurs: Bool, position: Int, to bytes: inout [UInt8]) {
        var done = 0
        while done < count {
            let from = start(streamID, isOurs, position + done)
            let step = min(count - done, chunk)
            bytes.append(contentsOf: table[from..<from + step])
            done += step
        }
    }

    static func matches(_ bytes: ArraySlice<UInt8>, streamID: UInt32, isOurs: Bool, position: Int) -> Bool {
        unsafe bytes.withUnsafeBytes { piece in
            var done = 0
            while done < piece.count {
                let from = start(streamID, isOurs, position + done)
                let step = min(piece.count - done, chunk)
                let isEqual = unsafe table.withUnsafeBytes {
                    unsafe memcmp(piece.baseAddress! + done, $0.baseAddress! + from, step) == 0
                }
                guard isEqual else { return false }
                done += step
            }
            return true
        }
    }
}

/// How many seeds a randomised test runs: `usual`, times what YAMUX_TEST_EFFORT says.
func seeds(_ usual: Int) -> Range<UInt64> {
    let effort = unsafe getenv("YAMUX_TEST_EFFORT").flatMap { unsafe Int(String(cString: $0)) } ?? 1
    return 0..<UInt64(usual * max(1, effort))
}
