extension RequestHead {
    /// The path to route by, of what goes on as the target: percent-decoded, then freed of dot segments (RFC 3986
    /// §5.2.4). The query takes no part; CONNECT and `*` give `/`.
    ///
    /// A decoded slash is a slash, so that `%2e%2e%2f` climbs like `../`. Empty segments stay: `//` is not `/`.
    ///
    /// - Parameters:
    ///   - bytes: what was scanned.
    ///   - scratch: at least ``target``'s count, and at least one byte; used only if something has to be changed.
    /// - Returns: a range of `bytes` or of `scratch`; nil if the path climbs above the root, or holds `%00` or a
    /// percent
    ///   sign without two hexadecimal digits. Those requests get 400.
    /// - Precondition: the head is complete.
    @_noLocks public func routingPath(
        in bytes: UnsafeRawBufferPointer, scratch: UnsafeMutableRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        guard let padded = unsafe PaddedBytes(bytes) else { return nil }
        let start = line.pathStart
        let end = target.upperBound
        if start == end || padded[start] != Ascii.slash { return unsafe Self.root(scratch) }
        let plainEnd = padded.endOfPlainPath(from: start, to: end)
        if plainEnd == end || padded[plainEnd] == Ascii.question { return unsafe padded.raw(start..<plainEnd) }
        return unsafe Self.resolve(padded, start..<end, scratch)
    }

    @_noLocks private static func root(_ scratch: UnsafeMutableRawBufferPointer) -> UnsafeRawBufferPointer {
        var writer = unsafe ByteWriter(scratch)
        writer.append(Ascii.slash)
        return unsafe writer.written
    }

    /// Decodes and resolves in one pass: `scratch` always holds the segments so far, each with the slash before it.
    @inline(never)
    private static func resolve(
        _ bytes: PaddedBytes, _ range: Range<Int>, _ scratch: UnsafeMutableRawBufferPointer
    ) -> UnsafeRawBufferPointer? {
        var path = unsafe ByteWriter(scratch)
        path.append(Ascii.slash)
        var segmentStart = 1
        var index = range.lowerBound &+ 1
        while index < range.upperBound && bytes[index] != Ascii.question {
            var byte = bytes[index]
            index &+= 1
            if byte == Ascii.percent {
                guard index &+ 2 <= range.upperBound else { return nil }
                let high = Ascii.hexValue(bytes[index])
                let low = Ascii.hexValue(bytes[index &+ 1])
                if high == 255 || low == 255 || high | low == 0 { return nil }
                byte = high &<< 4 | low
                index &+= 2
            }
            if byte != Ascii.slash {
                path.append(byte)
            } else if !endSegment(&path, &segmentStart, isLast: false) {
                return nil
            }
        }
        return endSegment(&path, &segmentStart, isLast: true) ? unsafe path.written : nil
    }

    /// Ends the segment that begins at `segmentStart`: a dot segment goes, `..` with the one before it.
    ///
    /// - Returns: false if there is none before it.
    private static func endSegment(_ path: inout ByteWriter, _ segmentStart: inout Int, isLast: Bool) -> Bool {
        let count = path.count &- segmentStart
        let isDot = count == 1 && path[segmentStart] == Ascii.dot
        let isDotDot = count == 2 && path[segmentStart] == Ascii.dot && path[segmentStart &+ 1] == Ascii.dot
        if isDotDot {
            if segmentStart == 1 { return false }
            segmentStart &-= 1
            while path[segmentStart &- 1] != Ascii.slash { segmentStart &-= 1 }
        }
        if isDot || isDotDot {
            path.truncate(to: segmentStart)
        } else if !isLast {
            path.append(Ascii.slash)
            segmentStart = path.count
        }
        return true
    }
}
