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
    /// A further Content-Length with the value of the first.
    case repeatedLength
    /// An ordinary field that Connection names.
    case named

    /// Lengths of the names above, a bit for each: most fields of a browser's request end here.
    @inline(__always) private static var lengths: UInt32 {
        1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 14 | 1 << 15 | 1 << 16 | 1 << 17 | 1 << 18 | 1 << 19
    }

    /// First letters of the names above, a bit for each, `a` lowest: c, e, h, k, p, t, u, x.
    @inline(__always) private static var letters: UInt32 { @_noLocks get { 0x98_8494 } }

    /// - Precondition: the name is a token, so that setting the bit of case maps nothing but letters to letters.
    @_noLocks @inline(__always) init(_ bytes: PaddedBytes, nameAt start: Int, count: Int) {
        let hasLength = count < 20 && Self.lengths &>> UInt32(truncatingIfNeeded: count) & 1 != 0
        let letter = (bytes[start] | 0x20) &- 0x61
        let isLikely = hasLength && letter < 26 && Self.letters &>> UInt32(letter) & 1 != 0
        self = isLikely ? Self.ofLikelyName(bytes, start, count) : .ordinary
    }

    @_noLocks private static func ofLikelyName(_ bytes: PaddedBytes, _ start: Int, _ count: Int) -> FieldKind {
        let head = Word.first(min(count, 8), of: bytes.word(at: start) | Word.lowerCase)
        switch count {
        case 2: return head == Word.of("te") ? .trailerCodings : .ordinary
        case 4: return head == Word.of("host") ? .host : .ordinary
        case 6: return head == Word.of("expect") ? .expect : .ordinary
        case 7: return head == Word.of("upgrade") ? .upgrade : .ordinary
        default: return ofLongName(bytes, start, count, head)
        }
    }

    @_noLocks @inline(__always)
    private static func ofLongName(_ bytes: PaddedBytes, _ start: Int, _ count: Int, _ head: UInt64) -> FieldKind {
        switch head {
        case Word.of("connecti"): kind(.connection, "connection", bytes, start, count)
        case Word.of("keep-ali"): kind(.keepAlive, "keep-alive", bytes, start, count)
        case Word.of("content-"): kind(.contentLength, "content-length", bytes, start, count)
        case Word.of("transfer"): kind(.transferEncoding, "transfer-encoding", bytes, start, count)
        case Word.of("proxy-co"): kind(.proxyConnection, "proxy-connection", bytes, start, count)
        case Word.of("proxy-au"):
            count == 18
                ? kind(.proxyAuthenticate, "proxy-authenticate", bytes, start, count)
                : kind(.proxyAuthorization, "proxy-authorization", bytes, start, count)
        case Word.of("x-forwar"):
            switch count {
            case 15: kind(.forwardedFor, "x-forwarded-for", bytes, start, count)
            case 16: kind(.forwardedHost, "x-forwarded-host", bytes, start, count)
            default: kind(.forwardedProto, "x-forwarded-proto", bytes, start, count)
            }
        default: .ordinary
        }
    }

    @_noLocks @inline(__always)
    private static func kind(
        _ kind: FieldKind, _ name: StaticString, _ bytes: PaddedBytes, _ start: Int, _ count: Int
    ) -> FieldKind {
        count == name.utf8CodeUnitCount && bytes.equalsIgnoringCase(name, at: start) ? kind : .ordinary
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
