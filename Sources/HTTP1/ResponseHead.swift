/// The head of a service's reply: found, checked and understood in one pass (RFC 9112 §4 to §7).
///
/// Plain data without references: made once, scanned many times. A service that breaks HTTP is refused, and its client
/// gets 502: nothing that two programs could read in two ways is passed on.
public struct ResponseHead: ~Copyable, Sendable {
    var fields = FieldSection()
    /// Just after the last digit of the version.
    private(set) var versionEnd = 0
    /// Whether the reply opens a tunnel: any 2xx to CONNECT.
    private(set) var isTunnel = false

    /// Why the head is refused; ``Refusal/none`` until ``scan(_:limits:request:)`` says `.refused`.
    public private(set) var refusal = Refusal.none
    /// Bytes of the whole head, empty line included. 0 unless complete.
    public private(set) var byteCount = 0
    /// The status code, 100 to 999.
    public private(set) var status: UInt16 = 0
    /// 0 or 1; minor versions beyond are taken for 1.
    public private(set) var minorVersion: UInt8 = 0
    /// How the reply's body is delimited.
    public private(set) var framing = BodyFraming.none
    /// Whether the service keeps its stream open after the reply.
    public private(set) var keepAlive = false

    @_noLocks public init() {}

    /// Bytes of the body, if ``framing`` is `.counted`; at most 2^63 - 1. What Content-Length says, if it is `.none`.
    public var contentLength: UInt64 { @_noLocks get { fields.findings.length } }
    /// Whether another head follows for the same request: 1xx but 101 (RFC 9110 §15.2).
    public var isInterim: Bool { @_noLocks get { status < 200 && status != 101 } }
    /// Whether the stream speaks another protocol from here on.
    public var isSwitching: Bool { @_noLocks get { status == 101 } }

    /// Checks the bytes that have arrived, from the first one of the reply on.
    ///
    /// - Parameters:
    ///   - bytes: all bytes of the reply so far; 64 more behind them are readable.
    ///   - request: the method that is replied to, which has a say in ``framing``.
    @_noLocks public mutating func scan(
        _ bytes: UnsafeRawBufferPointer, limits: HeadLimits, request: Method
    ) -> HeadStatus {
        refusal = .none
        byteCount = 0
        guard let all = unsafe PaddedBytes(bytes) else { return .incomplete }
        let bounded = all.limited(to: limits.headBytes)
        let status = scanLines(bounded, limits: limits, request: request)
        if status == .incomplete && all.count >= limits.headBytes { return refuse(.headTooLarge) }
        return status
    }

    private mutating func scanLines(_ bytes: PaddedBytes, limits: HeadLimits, request: Method) -> HeadStatus {
        guard let version = MinorVersion(bytes, at: 0), bytes.count >= 8 else { return oddVersion(bytes) }
        minorVersion = version.number
        versionEnd = 8
        let lineEnd = bytes.endOfText(from: 8)
        if !scanStatus(bytes, to: lineEnd) { return oddStatus(bytes, lineEnd) }
        if lineEnd &+ 1 >= bytes.count || !bytes.isLineEnd(at: lineEnd) {
            let refusal = bytes.refusalOfControl(at: lineEnd)
            return refusal == .none ? .incomplete : refuse(refusal)
        }
        let status = fields.scan(bytes, from: lineEnd &+ 2, fieldLimit: limits.fields, isRequest: false)
        if status != .complete {
            refusal = fields.findings.refusal
            return status
        }
        return conclude(request)
    }

    /// A space, three digits, and a space if anything follows. The space before an empty reason is often left out.
    @_noLocks @inline(__always) private mutating func scanStatus(_ bytes: PaddedBytes, to lineEnd: Int) -> Bool {
        guard lineEnd >= 12, bytes[8] == Ascii.space, lineEnd == 12 || bytes[12] == Ascii.space else { return false }
        let hundreds = bytes[9] &- Ascii.zero, tens = bytes[10] &- Ascii.zero, ones = bytes[11] &- Ascii.zero
        guard hundreds >= 1, hundreds < 10, tens < 10, ones < 10 else { return false }
        status = UInt16(hundreds) &* 100 &+ UInt16(tens) &* 10 &+ UInt16(ones)
        return true
    }

    /// RFC 9112 §6.3, in its order.
    @_noLocks @inline(__always) private mutating func conclude(_ request: Method) -> HeadStatus {
        let findings = fields.findings
        if findings.hasTransferEncoding {
            if minorVersion == 0 { return refuse(.transferEncodingInOldVersion) }
            if findings.hasLength { return refuse(.lengthWithTransferEncoding) }
        }
        isTunnel = request == .connect && status >= 200 && status < 300
        if request == .head || status < 200 || status == 204 || status == 304 || isTunnel {
            framing = .none
        } else if findings.hasTransferEncoding {
            framing = .chunked
        } else if findings.hasLength {
            framing = findings.length > 0 ? .counted : .none
        } else {
            framing = .untilClose
        }
        keepAlive =
            !findings.asksClose && framing != .untilClose && (minorVersion > 0 || findings.asksKeepAlive)
        byteCount = Int(findings.end)
        return .complete
    }

    @_noLocks private mutating func refuse(_ refusal: Refusal) -> HeadStatus {
        self.refusal = refusal
        return .refused
    }

    @_noLocks @inline(never) private mutating func oddVersion(_ bytes: PaddedBytes) -> HeadStatus {
        var index = 0
        while index < min(8, bytes.count) {
            let isExpected =
                index == 7
                ? Ascii.isDigit(bytes[7])
                : bytes[index] == UInt8(truncatingIfNeeded: Word.of("HTTP/1.") &>> UInt64(index &* 8))
            if !isExpected { return refuse(.badVersion) }
            index &+= 1
        }
        return .incomplete
    }

    /// The line does not go on as a status line does, or is not all there. A line that ends too early is bad whatever
    /// follows; one that is cut off by the end of the bytes may be looked at again.
    @_noLocks @inline(never) private mutating func oddStatus(_ bytes: PaddedBytes, _ lineEnd: Int) -> HeadStatus {
        let known = min(lineEnd, 13)
        for index in 8..<known {
            let byte = bytes[index]
            let isExpected = index == 8 || index == 12 ? byte == Ascii.space : Ascii.isDigit(byte)
            if !isExpected || index == 9 && byte == Ascii.zero { return refuse(.badStatusLine) }
        }
        return lineEnd == bytes.count ? .incomplete : refuse(.badStatusLine)
    }
}
