internal import Synchronization

/// The field lines of a head: checks each of them, and notes what the framing, the routing and an edited head need.
///
/// Fields that mean nothing to a proxy are checked and forgotten. Of the others the first sixteen lines are
/// noted, so that editing a head does not have to look at its lines again; a head with more of them, or one whose
/// Connection field names ordinary fields, is walked a second time by ``EditableLines``.
struct FieldSection: ~Copyable {
    /// Gives the section, and the head that has it, an address: else methods that do not mutate get copies of it all.
    private let place = Atomic<UInt8>(0)

    /// Everything that the lines were found to say, in plain words.
    struct Findings {
        var refusal = Refusal.none
        var isRequest = true
        var start: UInt32 = 0
        /// Just after the empty line, once the section is complete.
        var end: UInt32 = 0
        var fieldCount: UInt32 = 0

        var hasLength = false
        var length: UInt64 = 0
        var hasTransferEncoding = false

        var hasHost = false
        /// The value of the Host field, port included.
        var hostField = ByteRange()
        /// The same without port and trailing dot.
        var host = ByteRange()

        var asksClose = false
        var asksKeepAlive = false
        var asksUpgrade = false
        /// Whether Upgrade names a protocol other than HTTP/2.
        var hasUpgrade = false
        /// An upgrade to HTTP/2 in clear text would carry requests that nobody routes (RFC 9113 §3.1 withdrew it).
        var upgradesToHTTP2 = false
        var acceptsTrailers = false
        var expectsContinue = false
        var hasForwardedFor = false
        var hasForwardedProto = false
        var hasForwardedHost = false
        var hasLoopMarks = false

        /// Whether the edited head has the Date of this one.
        var keepsDate = false
        /// Connection takes Date away.
        var namesDate = false

        /// What Max-Forwards says of an OPTIONS or a TRACE; -1 if that is nothing.
        var maxForwards = -1
        /// Whether lines of Max-Forwards are left out of the edited head, which notes do not tell.
        var editsMaxForwards = false

        var noteCount = 0
        var notesOverflow = false
        var namedCount = 0

        @_noLocks init() {}

        /// Whether the notes do not tell all lines that an edited head leaves out.
        var needsSecondPass: Bool { @_noLocks get { notesOverflow || namedCount > 0 } }

        /// Lets editors look at all lines again.
        @_noLocks mutating func askForSecondPass() { notesOverflow = true }
    }

    var findings = Findings()
    private(set) var notes = InlineArray<16, FieldLine>(repeating: FieldLine())
    /// The options of Connection fields that are neither known nor names of known fields.
    private(set) var named = InlineArray<16, ByteRange>(repeating: ByteRange())

    @_noLocks init() {}

    /// Checks the lines from `start` up to the empty line. Begins anew each time. Inlined into the scan of
    /// requests, which takes 20 instructions less for it.
    ///
    /// - Parameter isRequest: whether Host, Expect and the forwarding fields mean something.
    @_noLocks @inline(__always)
    mutating func scan(_ bytes: PaddedBytes, from start: Int, fieldLimit: Int, isRequest: Bool) -> HeadStatus {
        findings = Findings()
        findings.isRequest = isRequest
        findings.start = UInt32(truncatingIfNeeded: start)
        var position = start
        while position < bytes.count {
            let nameEnd = bytes.endOfToken(from: position)
            if nameEnd == position || nameEnd == bytes.count || bytes[nameEnd] != Ascii.colon {
                return endOrRefuse(bytes, lineStart: position, nameEnd: nameEnd)
            }
            let valueEnd = bytes.endOfText(from: nameEnd &+ 1)
            if valueEnd &+ 1 >= bytes.count || !bytes.isLineEnd(at: valueEnd) {
                return incompleteOrRefuse(bytes, lineEnd: valueEnd)
            }
            findings.fieldCount &+= 1
            if Int(findings.fieldCount) > fieldLimit { return refuse(.tooManyFields) }
            let kind = FieldKind(bytes, nameAt: position, count: nameEnd &- position)
            if kind != .ordinary {
                if kind == .date {
                    findings.keepsDate = !findings.namesDate
                } else {
                    let line = FieldLine(start: position, valueStart: nameEnd &+ 1, end: valueEnd &+ 2, kind: kind)
                    let refusal = take(line, in: bytes)
                    if refusal != .none { return refuse(refusal) }
                }
            }
            position = valueEnd &+ 2
        }
        return .incomplete
    }

    @_noLocks private mutating func refuse(_ refusal: Refusal) -> HeadStatus {
        findings.refusal = refusal
        return .refused
    }

    /// The line does not begin with a name and a colon: the empty line, or a fault.
    @inline(never)
    private mutating func endOrRefuse(_ bytes: PaddedBytes, lineStart: Int, nameEnd: Int) -> HeadStatus {
        if nameEnd == bytes.count { return .incomplete }
        if nameEnd == lineStart {
            if Ascii.isBlank(bytes[lineStart]) { return refuse(.lineFolding) }
            if bytes[lineStart] == Ascii.colon { return refuse(.badFieldName) }
            if lineStart &+ 1 < bytes.count && bytes.isLineEnd(at: lineStart) {
                findings.end = UInt32(truncatingIfNeeded: lineStart &+ 2)
                return .complete
            }
        }
        switch bytes[nameEnd] {
        case Ascii.space, Ascii.tab:
            return refuse(.spaceBeforeColon)
        case Ascii.carriageReturn where nameEnd &+ 1 < bytes.count && bytes.isLineEnd(at: nameEnd):
            return refuse(.missingColon)
        default:
            break
        }
        if Ascii.isControl(bytes[nameEnd]) { return incompleteOrRefuse(bytes, lineEnd: nameEnd) }
        return refuse(.badFieldName)
    }

    /// The text of a line ends with something other than a CRLF that is there.
    @inline(never)
    private mutating func incompleteOrRefuse(_ bytes: PaddedBytes, lineEnd: Int) -> HeadStatus {
        let refusal = bytes.refusalOfControl(at: lineEnd)
        return refusal == .none ? .incomplete : refuse(refusal)
    }

    // MARK: Notes

    @_noLocks mutating func note(_ line: FieldLine) {
        if findings.noteCount == notes.count {
            findings.notesOverflow = true
        } else {
            notes[findings.noteCount] = line
            findings.noteCount &+= 1
        }
    }

    /// - Returns: false if there is no room for another name.
    @_noLocks mutating func name(_ option: ByteRange) -> Bool {
        if findings.namedCount == named.count { return false }
        named[findings.namedCount] = option
        findings.namedCount &+= 1
        return true
    }

    /// The kind of a name in this section as an editor sees it: neither ``FieldKind/folded`` nor ``FieldKind/date``.
    @_noLocks @inline(__always) func kind(of name: ByteRange, in bytes: PaddedBytes) -> FieldKind {
        let kind = FieldKind(bytes, nameAt: name.lowerBound, count: Int(name.count))
        return kind == .folded || kind == .date ? resolved(kind, name, in: bytes) : kind
    }

    @inline(never)
    private func resolved(_ kind: FieldKind, _ name: ByteRange, in bytes: PaddedBytes) -> FieldKind {
        if kind == .date || !findings.isRequest { return .ordinary }
        let unfolded = FieldKind.unfolded(bytes, nameAt: name.lowerBound, count: Int(name.count))
        // CONNECT carries Proxy-Authorization, but not what only becomes it: that goes as Proxy-Connection does.
        return unfolded == .proxyAuthorization ? .proxyConnection : unfolded
    }

    /// Whether a Connection field names the field.
    @_noLocks func isNamed(_ name: ByteRange, in bytes: PaddedBytes) -> Bool {
        for index in 0..<findings.namedCount where bytes.equalTokens(named[index], name) { return true }
        return false
    }
}

extension PaddedBytes {
    /// Whether a CRLF begins at `index`. - Precondition: both bytes are there.
    @_noLocks @inline(__always) func isLineEnd(at index: Int) -> Bool {
        self[index] == Ascii.carriageReturn && self[index &+ 1] == Ascii.lineFeed
    }

    /// What is wrong with a control that ends a line's text, or `.none` if what follows has to be seen first. A CRLF is
    /// not to be asked for.
    @_noLocks func refusalOfControl(at index: Int) -> Refusal {
        if index >= count { return .none }
        switch self[index] {
        case Ascii.carriageReturn: return index &+ 1 >= count ? .none : .bareCarriageReturn
        case Ascii.lineFeed: return .bareLineFeed
        case Ascii.null: return .nullByte
        default: return .controlByte
        }
    }
}
