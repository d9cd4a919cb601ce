import Yamux

extension Loop {
    static let frames: [Loop] = [encode, parse, parseSplit]

    private static let encode = Loop("Yamux: encode the header of a frame") {
        let target = UnsafeMutableRawPointer.allocate(byteCount: 64 * FrameHeader.byteCount, alignment: 64)
        return { count in
            for index in 0..<count {
                let header = FrameHeader(
                    type: .data, flags: index & 7 == 0 ? .syn : FrameFlags(rawValue: 0),
                    streamID: UInt32(truncatingIfNeeded: index), length: UInt32(truncatingIfNeeded: index & 0xffff))
                unsafe header.write(to: target + (index & 63) * FrameHeader.byteCount)
            }
            return unsafe Int(target.loadUnaligned(fromByteOffset: 8, as: UInt32.self)) &+ 1
        }
    }

    /// Header and payload of a frame that is all there.
    private static let parse = Loop("Yamux: parse a frame of 100 bytes") {
        let bytes = unsafe padded(frameBytes())
        return { count in
            var reader = FrameReader()
            var offset = 0
            var sum = 0
            for _ in 0..<count {
                if offset == bytes.count { offset = 0 }
                sum &+= unsafe Int(reader.next(in: bytes, offset: &offset).header.streamID)
                sum &+= unsafe reader.next(in: bytes, offset: &offset).payloadCount
            }
            return sum
        }
    }

    /// The same, but five bytes of the header arrive first.
    private static let parseSplit = Loop("Yamux: parse a frame whose header is split") {
        let bytes = unsafe padded(frameBytes().prefix(112))
        let first = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<5])
        let second = unsafe UnsafeRawBufferPointer(rebasing: bytes[5...])
        return { count in
            var reader = FrameReader()
            var sum = 0
            for _ in 0..<count {
                var offset = 0
                _ = unsafe reader.next(in: first, offset: &offset)
                offset = 0
                sum &+= unsafe Int(reader.next(in: second, offset: &offset).header.streamID)
                sum &+= unsafe reader.next(in: second, offset: &offset).payloadCount
            }
            return sum
        }
    }

    /// 64 data frames with 100 bytes of payload each.
    private static func frameBytes() -> [UInt8] {
        var bytes: [UInt8] = []
        for stream in 1...64 {
            bytes += [0, 0, 0, 0, 0, 0, 0, UInt8(stream), 0, 0, 0, 100]
            bytes += [UInt8](repeating: 0x78, count: 100)
        }
        return bytes
    }
}
