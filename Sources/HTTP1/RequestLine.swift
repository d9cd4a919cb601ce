/// The first line of a request: method, target and version, a space between them (RFC 9112 §3).
struct RequestLine {
    /// Empty lines before it that are passed over (RFC 9112 §2.2); some clients send one after a body.
    static var emptyLineLimit: Int { @_noLocks get { 4 } }

    private(set) var refusal = Refusal.none
    private(set) var method = Method.other
    private(set) var methodName = ByteRange()
    private(set) var target = ByteRange()
    private(set) var minorVersion: UInt8 = 0
    /// Just after the last digit of the version.
    private(set) var versionEnd = 0
    /// The authority of an absolute target or of CONNECT's as it is written, else empty.
    private(set) var authority = ByteRange()
    /// The host in ``authority``.
    private(set) var host = ByteRange()
    /// Where the path of the target starts; the end of the target if it has none.
    private(set) var pathStart = 0

    @_noLocks @inline(__always) init() {}

    @_noLocks mutating func scan(_ bytes: PaddedBytes, limits: HeadLimits) -> HeadStatus {
        self = RequestLine()
        var start = 0
        if bytes[0] == Ascii.carriageReturn {
            while start &+ 1 < bytes.count && bytes.isLineEnd(at: start) { start &+= 2 }
            if start > 2 &* Self.emptyLineLimit { return refuse(.tooManyEmptyLines) }
            if start == bytes.count { return .incomplete }
        }
        let methodEnd = bytes.endOfToken(from: start)
        if methodEnd &- start > Method.longestName { return refuse(.methodTooLong) }
        if methodEnd == bytes.count { return .incomplete }
        if methodEnd == start { return oddMethod(bytes, start, methodEnd) }
        // Known from here on whatever follows: a reply to HEAD has no content, a refusal neither.
        methodName = ByteRange(start, methodEnd)
        method = Method(word: bytes.word(at: start), count: methodEnd &- start)
        if bytes[methodEnd] != Ascii.space { return oddMethod(bytes, start, methodEnd) }

        let targetEnd = bytes.endOfTarget(from: methodEnd &+ 1)
        if targetEnd &- methodEnd &- 1 > limits.targetBytes { return refuse(.targetTooLong) }
        if targetEnd == bytes.count { return .incomplete }
        if bytes[targetEnd] != Ascii.space || targetEnd == methodEnd &+ 1 { return oddTarget(bytes, targetEnd) }
        target = ByteRange(methodEnd &+ 1, targetEnd)
        return scanVersion(bytes, from: targetEnd &+ 1)
    }

    @_noLocks private mutating func refuse(_ refusal: Refusal) -> HeadStatus {
        self.refusal = refusal
        return .refused
    }

    // MARK: Version and form of the target

    @inline(__always)
    private mutating func scanVersion(_ bytes: PaddedBytes, from start: Int) -> HeadStatus {
        guard let version = MinorVersion(bytes, at: start), start &+ 10 <= bytes.count, bytes.isLineEnd(at: start &+ 8)
        else { return oddVersion(bytes, start) }
        minorVersion = version.number
        versionEnd = start &+ 8
        if bytes[target.lowerBound] == Ascii.slash && method != .connect {
            pathStart = target.lowerBound
            return .complete
        }
        return scanOtherForm(bytes)
    }

    /// RFC 9112 §3.2: an absolute target, `*` for OPTIONS, an authority with a port for CONNECT.
    @_noLocks @inline(never) private mutating func scanOtherForm(_ bytes: PaddedBytes) -> HeadStatus {
        pathStart = target.upperBound
        if method == .connect {
            let parsed = Authority(bytes, from: target.lowerBound, to: target.upperBound)
            // RFC 9110 §9.3.6: no default port, and nothing listens at port 0.
            if !parsed.isValid || parsed.port == 0 { return refuse(.badTarget) }
            authority = target
            host = parsed.host
            return .complete
        }
        if target.count == 1 && bytes[target.lowerBound] == Ascii.asterisk {
            return method == .options ? .complete : refuse(.badTarget)
        }
        return scanAbsoluteForm(bytes)
    }

    @_noLocks private mutating func scanAbsoluteForm(_ bytes: PaddedBytes) -> HeadStatus {
        let end = target.upperBound
        var schemeEnd = target.lowerBound
        while schemeEnd < end && Self.isScheme(bytes[schemeEnd], isFirst: schemeEnd == target.lowerBound) {
            schemeEnd &+= 1
        }
        let hasAuthority =
            schemeEnd > target.lowerBound && schemeEnd &+ 3 <= end && bytes[schemeEnd] == Ascii.colon
            && bytes[schemeEnd &+ 1] == Ascii.slash && bytes[schemeEnd &+ 2] == Ascii.slash
        if !hasAuthority { return refuse(.badTarget) }
        let start = schemeEnd &+ 3
        var authorityEnd = start
        while authorityEnd < end && bytes[authorityEnd] != Ascii.slash && bytes[authorityEnd] != Ascii.question {
            authorityEnd &+= 1
        }
        let parsed = Authority(bytes, from: start, to: authorityEnd)
        if !parsed.isValid { return refuse(.badTarget) }
        authority = ByteRange(start, authorityEnd)
        host = parsed.host
        pathStart = authorityEnd
        return .complete
    }

    @_noLocks private static func isScheme(_ byte: UInt8, isFirst: Bool) -> Bool {
        if Ascii.isLetter(byte) { return true }
        return !isFirst && (Ascii.isDigit(byte) || byte == 0x2b || byte == Ascii.dash || byte == Ascii.dot)
    }

    // MARK: Faults, and lines that are not all there

    @_noLocks @inline(never) private mutating func oddMethod(_ bytes: PaddedBytes, _ start: Int, _ end: Int)
        -> HeadStatus
    {
        if !Ascii.isControl(bytes[end]) { return refuse(.badMethod) }
        if bytes[end] == Ascii.carriageReturn {
            if end &+ 1 == bytes.count { return .incomplete }
            if bytes.isLineEnd(at: end) { return refuse(.badMethod) }
        }
        return refuse(bytes.refusalOfControl(at: end))
    }

    @_noLocks @inline(never) private mutating func oddTarget(_ bytes: PaddedBytes, _ end: Int) -> HeadStatus {
        switch bytes[end] {
        case Ascii.space, Ascii.tab: return refuse(.whitespaceInTarget)
        case Ascii.hash: return refuse(.badTarget)
        case Ascii.carriageReturn where end &+ 1 == bytes.count: return .incomplete
        case Ascii.carriageReturn where bytes.isLineEnd(at: end): return refuse(.badVersion)
        default: return refuse(bytes.refusalOfControl(at: end))
        }
    }

    /// Finds what keeps `HTTP/1.x` and CRLF from being there: more bytes to come, another version, or no version.
    @_noLocks @inline(never) private mutating func oddVersion(_ bytes: PaddedBytes, _ start: Int) -> HeadStatus {
        var index = start
        while index < bytes.count && index < start &+ 8 {
            let byte = bytes[index]
            let offset = index &- start
            let isExpected =
                switch offset {
                case 5, 7: Ascii.isDigit(byte)
                case 6: byte == Ascii.dot
                default: byte == UInt8(truncatingIfNeeded: Word.of("HTTP/") &>> UInt64(offset &* 8))
                }
            if !isExpected { return refuse(oddVersionCause(bytes, at: index)) }
            index &+= 1
        }
        if index < start &+ 8 { return .incomplete }
        if bytes[start &+ 5] != 0x31 { return refuse(.versionNotSupported) }
        if index == bytes.count { return .incomplete }
        return bytes[index] == Ascii.carriageReturn && index &+ 1 == bytes.count
            ? .incomplete : refuse(oddVersionCause(bytes, at: index))
    }

    /// The byte at `index` stands where no version has it. If the text of the line goes on behind a blank, the blank
    /// most likely belongs to the target.
    @_noLocks private func oddVersionCause(_ bytes: PaddedBytes, at index: Int) -> Refusal {
        let end = bytes.endOfTarget(from: index)
        if end < bytes.count && Ascii.isBlank(bytes[end]) && (end > index || index == target.upperBound &+ 1) {
            return .whitespaceInTarget
        }
        let isLineEnd = index &+ 1 < bytes.count && bytes.isLineEnd(at: index)
        if isLineEnd || !Ascii.isControl(bytes[index]) { return .badVersion }
        let refusal = bytes.refusalOfControl(at: index)
        return refusal == .none ? .badVersion : refusal
    }
}

/// The version of a message of HTTP/1, whose minor versions beyond 1 are taken for 1.1 (RFC 9110 §2.5).
struct MinorVersion {
    let number: UInt8

    /// Reads eight bytes, which need not all be there. - Returns: nil if they are not `HTTP/1.` and a digit.
    @_noLocks @inline(__always) init?(_ bytes: PaddedBytes, at start: Int) {
        let word = bytes.word(at: start)
        let digit = UInt8(truncatingIfNeeded: word &>> 56)
        guard Word.first(7, of: word) == Word.of("HTTP/1."), Ascii.isDigit(digit) else { return nil }
        number = digit == Ascii.zero ? 0 : 1
    }
}
