/// Max-Forwards (RFC 9110 §7.6.2), which means something in OPTIONS and TRACE alone: looked for once the section is
/// complete, so that no other request pays for it.
extension FieldSection {
    /// Finds the lines of the field. Of several values the smallest counts.
    ///
    /// - Precondition: the section is complete.
    @_noLocks @inline(never) mutating func readMaxForwards(_ bytes: PaddedBytes) {
        let end = Int(findings.end) &- 2
        var position = Int(findings.start)
        while position < end {
            let nameEnd = bytes.endOfToken(from: position)
            let valueEnd = bytes.endOfText(from: nameEnd)
            let name = ByteRange(position, nameEnd)
            if bytes.equalsIgnoringCase("max-forwards", in: name) {
                let value = Self.number(bytes, bytes.trimmed(nameEnd &+ 1, valueEnd))
                if value >= 0 && (findings.maxForwards < 0 || value < findings.maxForwards) {
                    findings.maxForwards = value
                }
            } else if bytes.equalsFolding("max-forwards", in: name) {
                findings.editsMaxForwards = true
            }
            position = valueEnd &+ 2
        }
        if findings.maxForwards > 0 { findings.editsMaxForwards = true }
        if findings.editsMaxForwards { findings.askForSecondPass() }
    }

    /// The kind of a field that is ordinary by its name. Max-Forwards is not for the next hop if it says what is no
    /// longer so, or has a name with underscores.
    @_noLocks @inline(never) func kindWithMaxForwards(_ name: ByteRange, in bytes: PaddedBytes) -> FieldKind {
        if !bytes.equalsFolding("max-forwards", in: name) { return .ordinary }
        let isPlain = bytes.equalsIgnoringCase("max-forwards", in: name)
        return isPlain && findings.maxForwards <= 0 ? .ordinary : .maxForwards
    }

    /// The value of digits that fill the range, at most `Int.max`; -1 if they do not.
    @_noLocks private static func number(_ bytes: PaddedBytes, _ range: ByteRange) -> Int {
        if range.isEmpty { return -1 }
        var number = 0
        for index in range.lowerBound..<range.upperBound {
            if !Ascii.isDigit(bytes[index]) { return -1 }
            let (shifted, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, carry) = shifted.addingReportingOverflow(Int(bytes[index] &- Ascii.zero))
            number = overflow || carry ? Int.max : sum
        }
        return number
    }
}
