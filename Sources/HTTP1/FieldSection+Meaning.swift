/// What the fields that mean something to a proxy say.
extension FieldSection {
    /// Takes a line of a kind other than ordinary; notes it if an edited head may leave it out.
    @_noLocks mutating func take(_ line: FieldLine, in bytes: PaddedBytes) -> Refusal {
        let value = line.value(in: bytes)
        switch line.kind {
        case .host:
            return findings.isRequest ? takeHost(line, value, bytes) : .none
        case .contentLength:
            return takeLength(line, value, bytes)
        case .transferEncoding:
            return takeTransferEncoding(line, value, bytes)
        case .connection:
            note(line)
            return takeConnection(value, bytes)
        case .upgrade:
            note(line)
            takeUpgrade(value, bytes)
        case .trailerCodings:
            note(line)
            if bytes.listContains("trailers", in: value) { findings.acceptsTrailers = true }
        case .expect:
            guard findings.isRequest else { return .none }
            note(line)
            takeExpect(value, bytes)
        case .forwardedFor, .forwardedProto, .forwardedHost:
            if findings.isRequest { takeForwarded(line) }
        case .loopMarks:
            guard findings.isRequest else { return .none }
            note(line)
            findings.hasLoopMarks = true
        case .keepAlive, .proxyConnection, .proxyAuthenticate, .proxyAuthorization:
            note(line)
        case .folded:
            return findings.isRequest ? takeFolded(line, bytes) : .none
        case .ordinary, .date, .maxForwards, .named, .repeatedLength:
            break
        }
        return .none
    }

    /// RFC 9112 §3.2: one Host, and a valid one. A Host may be empty, where the target has no authority.
    @_noLocks private mutating func takeHost(_ line: FieldLine, _ value: ByteRange, _ bytes: PaddedBytes) -> Refusal {
        if findings.hasHost { return .repeatedHost }
        findings.hasHost = true
        findings.hostField = value
        if !value.isEmpty {
            let authority = Authority(bytes, from: value.lowerBound, to: value.upperBound)
            if !authority.isValid { return .badHost }
            findings.host = authority.host
        }
        note(line)
        return .none
    }

    /// RFC 9110 §8.6. A list is refused even if its members agree, a repeated line only if it differs.
    @_noLocks private mutating func takeLength(_ line: FieldLine, _ value: ByteRange, _ bytes: PaddedBytes) -> Refusal {
        var length: Int64 = 0
        if value.isEmpty { return .badContentLength }
        for index in value.lowerBound..<value.upperBound {
            guard Ascii.isDigit(bytes[index]) else { return .badContentLength }
            let (shifted, overflow) = length.multipliedReportingOverflow(by: 10)
            let (sum, carry) = shifted.addingReportingOverflow(Int64(bytes[index] &- Ascii.zero))
            // Beyond 2^63 - 1 other programs' integers overflow, and would see another body than we do.
            if overflow || carry { return .badContentLength }
            length = sum
        }
        var noted = line
        if findings.hasLength {
            if findings.length != UInt64(length) { return .conflictingLengths }
            noted.kind = .repeatedLength
        }
        findings.hasLength = true
        findings.length = UInt64(length)
        note(noted)
        return .none
    }

    /// RFC 9112 §6.1: `chunked`, alone. Other codings are of no use to a proxy that cannot decode them.
    private mutating func takeTransferEncoding(
        _ line: FieldLine, _ value: ByteRange, _ bytes: PaddedBytes
    ) -> Refusal {
        if findings.hasTransferEncoding { return .repeatedTransferEncoding }
        findings.hasTransferEncoding = true
        note(line)
        if bytes.equalsIgnoringCase("chunked", in: value) { return .none }
        return bytes.refusalOfCodings(value)
    }

    /// RFC 9110 §7.6.1. What names a known field is not kept: each of those has a rule of its own, so that Connection
    /// can take neither Host, nor the framing, nor the forwarding fields away.
    @_noLocks private mutating func takeConnection(_ value: ByteRange, _ bytes: PaddedBytes) -> Refusal {
        var list = ListCursor(value)
        while let option = list.next(in: bytes) {
            if bytes.equalsIgnoringCase("keep-alive", in: option) {
                findings.asksKeepAlive = true
            } else if bytes.equalsIgnoringCase("close", in: option) {
                findings.asksClose = true
            } else if bytes.equalsIgnoringCase("upgrade", in: option) {
                findings.asksUpgrade = true
            } else if kind(of: option, in: bytes) == .ordinary {
                if !name(option) { return .tooManyConnectionOptions }
                if bytes.equalsIgnoringCase("date", in: option) {
                    findings.namesDate = true
                    findings.keepsDate = false
                }
            }
        }
        return .none
    }

    /// RFC 9110 §10.1.1: a list, of which one member is known.
    @_noLocks private mutating func takeExpect(_ value: ByteRange, _ bytes: PaddedBytes) {
        if bytes.equalsIgnoringCase("100-continue", in: value) || bytes.listContains("100-continue", in: value) {
            findings.expectsContinue = true
        }
    }

    @_noLocks private mutating func takeUpgrade(_ value: ByteRange, _ bytes: PaddedBytes) {
        var list = ListCursor(value)
        while let member = list.next(in: bytes) {
            if bytes.isClearTextHTTP2(member) { findings.upgradesToHTTP2 = true } else { findings.hasUpgrade = true }
        }
    }

    /// A name that is one of ours for whoever takes `_` for `-`: the line is treated like that one. A framing field is
    /// refused, because it would be right for such a program and wrong for any other.
    @inline(never)
    private mutating func takeFolded(_ line: FieldLine, _ bytes: PaddedBytes) -> Refusal {
        var unfolded = line
        unfolded.kind = kind(of: ByteRange(Int(line.start), Int(line.valueStart) &- 1), in: bytes)
        switch unfolded.kind {
        case .contentLength, .transferEncoding: return .foldedFramingName
        case .forwardedFor, .forwardedProto, .forwardedHost: takeForwarded(unfolded)
        default: note(unfolded)
        }
        return .none
    }

    @_noLocks private mutating func takeForwarded(_ line: FieldLine) {
        note(line)
        switch line.kind {
        case .forwardedFor: findings.hasForwardedFor = true
        case .forwardedProto: findings.hasForwardedProto = true
        default: findings.hasForwardedHost = true
        }
    }
}

/// Walks a comma-separated list (RFC 9110 §5.6.1); empty members are passed over.
struct ListCursor {
    private var position: Int
    private let end: Int

    @_noLocks @inline(__always) init(_ list: ByteRange) {
        position = list.lowerBound
        end = list.upperBound
    }

    /// The next member, without the blanks around it.
    @_noLocks mutating func next(in bytes: PaddedBytes) -> ByteRange? {
        while position < end {
            let start = position
            while position < end && bytes[position] != Ascii.comma { position &+= 1 }
            let member = bytes.trimmed(start, position)
            position &+= 1
            if !member.isEmpty { return member }
        }
        return nil
    }
}

extension PaddedBytes {
    /// Whether a list has the literal, in any case, as a member.
    @_noLocks func listContains(_ literal: StaticString, in range: ByteRange) -> Bool {
        var list = ListCursor(range)
        while let member = list.next(in: self) {
            if equalsIgnoringCase(literal, in: member) { return true }
        }
        return false
    }

    /// Whether a member of an Upgrade list is `h2c`, whatever version of it (RFC 9110 §7.8).
    @_noLocks func isClearTextHTTP2(_ member: ByteRange) -> Bool {
        if member.count < 3 || !equalsIgnoringCase("h2c", at: member.lowerBound) { return false }
        return member.count == 3 || self[member.lowerBound &+ 3] == Ascii.slash
    }

    /// Why a Transfer-Encoding that is not `chunked` is refused: 501 is for a list of codings of which one at least is
    /// unknown, 400 for everything else.
    @_noLocks @inline(never) func refusalOfCodings(_ range: ByteRange) -> Refusal {
        var list = ListCursor(range)
        var refusal = Refusal.badTransferEncoding
        while let coding = list.next(in: self) {
            var end = coding.lowerBound
            while end < coding.upperBound && Ascii.isToken(self[end]) { end &+= 1 }
            let hasParameters = end < coding.upperBound && (self[end] == Ascii.semicolon || Ascii.isBlank(self[end]))
            if end == coding.lowerBound || end < coding.upperBound && !hasParameters { return .badTransferEncoding }
            if !equalsIgnoringCase("chunked", in: ByteRange(coding.lowerBound, end)) {
                refusal = .unknownTransferCoding
            }
        }
        return refusal
    }
}
