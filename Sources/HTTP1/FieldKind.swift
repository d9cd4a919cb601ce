/// The fields that mean something to a proxy; everything else is ``ordinary`` and passes.
enum FieldKind: UInt8 {
    case ordinary
    case host
    case contentLength
    case transferEncoding
    case connection
    case keepAlive
    case proxyConnection
    case proxyAuthenticate
    case proxyAuthorization
    case trailerCodings
    case upgrade
    case expect
    case forwardedFor
    case forwardedProto
    case forwardedHost
    /// Passes; what we have put there tells how often a request has come back (RFC 8586).
    case loopMarks
    /// Only its being there matters, so that it is never noted.
    case date
    /// Of OPTIONS and TRACE alone, and told by ``FieldSection/readMaxForwards(_:)``, not by the name.
    case maxForwards
    /// A further Content-Length with the value of the first.
    case repeatedLength
    /// An ordinary field that Connection names.
    case named
    /// A name that is one of those above once `_` counts as `-`: CGI and its kin cannot tell the two apart. Which one
    /// says ``unfolded(_:nameAt:count:)``. Ordinary in a reply.
    case folded

    /// Lengths of the names above, a bit for each: most fields of a browser's request end here.
    @inline(__always) private static var lengths: UInt32 {
        1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 19
    }

    /// First letters of the names above, a bit for each, `a` lowest: c, d, e, h, k, p, t, u, x.
    @inline(__always) private static var letters: UInt32 { @_noLocks get { 0x98_849c } }

    /// - Precondition: the name is a token, so that setting the bit of case maps nothing but letters to letters.
    @_noLocks @inline(__always) init(_ bytes: PaddedBytes, nameAt start: Int, count: Int) {
        let hasLength = count < 20 && Self.lengths &>> UInt32(truncatingIfNeeded: count) & 1 != 0
        let letter = (bytes[start] | 0x20) &- 0x61
        let isLikely = hasLength && letter < 26 && Self.letters &>> UInt32(letter) & 1 != 0
        self = isLikely ? Self.ofLikelyName(bytes, start, count) : .ordinary
    }

    /// Host and Date, which are in nearly every request and reply, are told here.
    @inline(__always)
    private static func ofLikelyName(_ bytes: PaddedBytes, _ start: Int, _ count: Int) -> FieldKind {
        if count != 4 { return ofOtherName(bytes, start, count) }
        if bytes.equalsIgnoringCase("host", at: start) { return .host }
        return bytes.equalsIgnoringCase("date", at: start) ? .date : .ordinary
    }

    @inline(never)
    private static func ofOtherName(_ bytes: PaddedBytes, _ start: Int, _ count: Int) -> FieldKind {
        let head = Word.first(min(count, 8), of: bytes.word(at: start) | Word.lowerCase)
        switch count {
        case 2: return head == Word.of("te") ? .trailerCodings : .ordinary
        case 6: return head == Word.of("expect") ? .expect : .ordinary
        case 7: return head == Word.of("upgrade") ? .upgrade : .ordinary
        case 8: return head == Word.of("cdn-loop") ? .loopMarks : .ordinary
        default: return ofLongName(bytes, start, count, head)
        }
    }

    @inline(__always)
    private static func ofLongName(_ bytes: PaddedBytes, _ start: Int, _ count: Int, _ head: UInt64) -> FieldKind {
        switch head {
        case Word.of("connecti"): kind(.connection, "connection", bytes, start, count)
        case Word.of("keep-ali"): kind(.keepAlive, "keep-alive", bytes, start, count)
        case Word.of("content-"): kind(.contentLength, "content-length", bytes, start, count)
        case Word.of("transfer"):
            count == 17 && bytes.equalsIgnoringCase("transfer-encoding", at: start)
                ? .transferEncoding : ofFoldedName(bytes, start, count)
        case Word.of("proxy-co"): kind(.proxyConnection, "proxy-connection", bytes, start, count)
        case Word.of("proxy-au"):
            count == 18
                ? kind(.proxyAuthenticate, "proxy-authenticate", bytes, start, count)
                : kind(.proxyAuthorization, "proxy-authorization", bytes, start, count)
        case Word.of("x-forwar"):
            ofForwardingName(bytes, start, count)
        default:
            // With the bit of case set, an underscore is the only byte of a token with all seven bits.
            (head &+ 0x0101_0101_0101_0101) & 0x8080_8080_8080_8080 == 0
                ? .ordinary : ofFoldedName(bytes, start, count)
        }
    }

    @inline(__always)
    private static func ofForwardingName(_ bytes: PaddedBytes, _ start: Int, _ count: Int) -> FieldKind {
        let kind =
            switch count {
            case 15: kind(.forwardedFor, "x-forwarded-for", bytes, start, count)
            case 16: kind(.forwardedHost, "x-forwarded-host", bytes, start, count)
            default: kind(.forwardedProto, "x-forwarded-proto", bytes, start, count)
            }
        return kind == .ordinary ? ofFoldedName(bytes, start, count) : kind
    }

    @inline(__always)
    private static func kind(
        _ kind: FieldKind, _ name: StaticString, _ bytes: PaddedBytes, _ start: Int, _ count: Int
    ) -> FieldKind {
        count == name.utf8CodeUnitCount && bytes.equalsIgnoringCase(name, at: start) ? kind : .ordinary
    }

    @inline(never)
    private static func ofFoldedName(_ bytes: PaddedBytes, _ start: Int, _ count: Int) -> FieldKind {
        unfolded(bytes, nameAt: start, count: count) == .ordinary ? .ordinary : .folded
    }

    /// The kind that the name has once `_` counts as `-`; ordinary if that is none of those with a `-`.
    @_noLocks @inline(never)
    static func unfolded(_ bytes: PaddedBytes, nameAt start: Int, count: Int) -> FieldKind {
        let name = ByteRange(start, start &+ count)
        if bytes.equalsFolding("x-forwarded-for", in: name) { return .forwardedFor }
        if bytes.equalsFolding("x-forwarded-proto", in: name) { return .forwardedProto }
        if bytes.equalsFolding("x-forwarded-host", in: name) { return .forwardedHost }
        if bytes.equalsFolding("content-length", in: name) { return .contentLength }
        if bytes.equalsFolding("transfer-encoding", in: name) { return .transferEncoding }
        if bytes.equalsFolding("keep-alive", in: name) { return .keepAlive }
        if bytes.equalsFolding("proxy-connection", in: name) { return .proxyConnection }
        if bytes.equalsFolding("proxy-authenticate", in: name) { return .proxyAuthenticate }
        if bytes.equalsFolding("proxy-authorization", in: name) { return .proxyAuthorization }
        return .ordinary
    }

    // The compiler's own comparisons make no promise about locks, and functions that do may not call them.
    @_noLocks @inline(__always) static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }
    @_noLocks @inline(__always) static func != (left: Self, right: Self) -> Bool { left.rawValue != right.rawValue }
}

/// A field line that an edited head may have to leave out or look at.
struct FieldLine {
    /// Where the name starts, counted from the start of the scanned bytes.
    var start: UInt32
    /// Just after the name's colon.
    var valueStart: UInt32
    /// Just after the line's CRLF.
    var end: UInt32
    var kind: FieldKind

    @_noLocks @inline(__always) init() {
        start = 0
        valueStart = 0
        end = 0
        kind = .ordinary
    }

    @_noLocks @inline(__always) init(start: Int, valueStart: Int, end: Int, kind: FieldKind) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.valueStart = UInt32(truncatingIfNeeded: valueStart)
        self.end = UInt32(truncatingIfNeeded: end)
        self.kind = kind
    }

    /// The value without the blanks around it.
    @_noLocks @inline(__always) func value(in bytes: PaddedBytes) -> ByteRange {
        bytes.trimmed(Int(valueStart), Int(end) &- 2)
    }
}
