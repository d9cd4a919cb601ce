/// Walks the lines of a valid field section that an edited head may have to leave out, in their order.
///
/// Usually these are the notes of the scan. Where they do not tell everything, all lines are walked again; their number
/// and the number of named options are bounded, so that the second pass costs a few times the first one at most.
struct EditableLines {
    private let isComplete: Bool
    private var index = 0
    private var position: Int
    private var hasSeenLength = false

    @_noLocks init(_ fields: borrowing FieldSection) {
        isComplete = !fields.findings.needsSecondPass
        position = Int(fields.findings.start)
    }

    /// - Parameters:
    ///   - fields: the section that this was made for.
    ///   - bytes: the bytes that it was scanned from.
    /// - Returns: nil when there are no more.
    @_noLocks @inline(__always)
    mutating func next(_ fields: borrowing FieldSection, in bytes: PaddedBytes) -> FieldLine? {
        if !isComplete { return nextOfAll(fields, in: bytes) }
        if index == fields.findings.noteCount { return nil }
        index &+= 1
        return fields.notes[index &- 1]
    }

    @inline(never)
    private mutating func nextOfAll(_ fields: borrowing FieldSection, in bytes: PaddedBytes) -> FieldLine? {
        let end = Int(fields.findings.end) &- 2
        while position < end {
            let nameEnd = bytes.endOfToken(from: position)
            let lineEnd = bytes.endOfText(from: nameEnd) &+ 2
            let name = ByteRange(position, nameEnd)
            var kind = fields.kind(of: name, in: bytes)
            if kind == .ordinary {
                if fields.isNamed(name, in: bytes) {
                    kind = .named
                } else if fields.findings.editsMaxForwards {
                    kind = fields.kindWithMaxForwards(name, in: bytes)
                }
            }
            if kind == .contentLength {
                if hasSeenLength { kind = .repeatedLength }
                hasSeenLength = true
            }
            let line = FieldLine(start: position, valueStart: nameEnd &+ 1, end: lineEnd, kind: kind)
            position = lineEnd
            if kind != .ordinary { return line }
        }
        return nil
    }
}
