extension ResponseHead {
    /// Makes the line ends of a reply's head whole, which some services end with a line feed alone (RFC 9112 §2.2 lets
    /// a recipient take that for one). Called when a scan has refused the head with ``Refusal/bareLineFeed``; then the
    /// copy is scanned. Never for requests: there two programs would see two heads.
    ///
    /// - Parameters:
    ///   - head: a head from its first byte up to its end, as ``HeadEndFinder/advanceInReply(_:)`` finds it.
    ///   - destination: where to write the head; does not overlap it.
    /// - Returns: the bytes written, or -1 if they do not fit.
    @_noLocks
    public static func mendLineEnds(
        _ head: UnsafeRawBufferPointer, to destination: UnsafeMutableRawBufferPointer
    ) -> Int {
        if head.count == 0 { return 0 }
        if destination.count < head.count { return -1 }
        var writer = unsafe ByteWriter(destination)
        var before: UInt8 = 0
        for index in 0..<head.count {
            let byte = unsafe head[index]
            let isBare = byte == Ascii.lineFeed && before != Ascii.carriageReturn
            if writer.count &+ (isBare ? 2 : 1) > destination.count { return -1 }
            if isBare { writer.append(Ascii.carriageReturn) }
            writer.append(byte)
            before = byte
        }
        return writer.count
    }
}
