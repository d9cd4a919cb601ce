// A service that passes its requests on to a proxy in front of us lets them come back for ever. Each pass leaves a mark
// in CDN-Loop (RFC 8586 §2), a field that servers ignore and proxies pass, so that their number can be told.

extension Forwarding {
    /// What the mark begins with, in front of sixteen hexadecimal digits.
    static var loopMarkName: StaticString { @_noLocks get { "socketmaster-" } }

    @_noLocks @inline(never)
    func writeLoopMark(to writer: inout ByteWriter) {
        writer.append("CDN-Loop: ")
        writer.append(Self.loopMarkName)
        for digit in 0..<16 { writer.append(Self.digit(digit, of: loopMark)) }
        writer.append("\r\n")
    }

    /// The digits of a mark, the highest first.
    @_noLocks
    static func digit(_ index: Int, of mark: UInt64) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: mark &>> UInt64(60 &- 4 &* index)) & 15
        return value < 10 ? Ascii.zero &+ value : 0x61 &- 10 &+ value
    }
}

extension RequestHead {
    /// Whether some proxy has left a mark.
    public var hasLoopMarks: Bool { @_noLocks get { fields.findings.hasLoopMarks } }

    /// How often the request has come through the proxy with that mark.
    /// - Parameter bytes: what was scanned.
    /// - Precondition: the head is complete.
    @_noLocks
    public func passes(of mark: UInt64, in bytes: UnsafeRawBufferPointer) -> Int {
        guard hasLoopMarks, let padded = unsafe PaddedBytes(bytes) else { return 0 }
        var count = 0
        var lines = EditableLines(fields)
        while let line = lines.next(fields, in: padded) {
            if line.kind != .loopMarks { continue }
            var list = ListCursor(line.value(in: padded))
            while let member = list.next(in: padded) {
                if padded.isLoopMark(member, mark) { count &+= 1 }
            }
        }
        return count
    }
}

extension PaddedBytes {
    /// Whether a member of the list is the mark, parameters apart.
    @_noLocks
    fileprivate func isLoopMark(_ member: ByteRange, _ mark: UInt64) -> Bool {
        let name = Forwarding.loopMarkName.utf8CodeUnitCount
        guard Int(member.count) >= name &+ 16, equalsIgnoringCase(Forwarding.loopMarkName, at: member.lowerBound)
        else { return false }
        for digit in 0..<16 {
            if self[member.lowerBound &+ name &+ digit] != Forwarding.digit(digit, of: mark) { return false }
        }
        return true
    }
}
