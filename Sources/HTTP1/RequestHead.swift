/// The head of a request: found, checked and understood in one pass (RFC 9112 §2 to §7).
///
/// Plain data without references: made once, scanned many times. The order of calls is ``scan(_:limits:)`` until it is
/// complete or refused, then ``routingPath(in:scratch:)`` and ``writeEdited(from:forwarding:host:to:)``, both with the
/// bytes that were scanned. All ranges count from the start of those bytes, behind which 64 more have to be readable;
/// what these hold never matters.
public struct RequestHead: ~Copyable, Sendable {
    var line = RequestLine()
    var fields = FieldSection()

    /// Why the head is refused; ``Refusal/none`` until ``scan(_:limits:)`` says `.refused`.
    public private(set) var refusal = Refusal.none

    /// Bytes of the whole head: empty lines before it and the empty line that ends it included. 0 unless complete.
    public private(set) var byteCount = 0

    /// How the request's body is delimited; never `.untilClose`.
    public private(set) var framing = BodyFraming.none

    /// Whether another request may follow on the connection: asked for by default in HTTP/1.1, on demand in HTTP/1.0.
    public private(set) var keepAlive = false

    /// Whether the client asks for another protocol: `Connection: upgrade` and an Upgrade field, in HTTP/1.1. `h2c`
    /// does not count and is left out of the edited head: its requests would pass unrouted.
    public private(set) var isUpgrade = false

    @_noLocks public init() {}

    /// The method; right as soon as a scan has seen its whole name, also if the head is refused then, else `.other`.
    public var method: Method { @_noLocks get { line.method } }
    /// The method as it is written.
    public var methodName: ByteRange { @_noLocks get { line.methodName } }
    /// The target as it is written.
    public var target: ByteRange { @_noLocks get { line.target } }
    /// 0 or 1; minor versions beyond are taken for 1.
    public var minorVersion: UInt8 { @_noLocks get { line.minorVersion } }
    /// Bytes of the body, if ``framing`` is `.counted`; at most 2^63 - 1.
    public var contentLength: UInt64 { @_noLocks get { fields.findings.length } }
    /// Whether the client waits for 100 before it sends the body; an HTTP/1.0 client never does (RFC 9110 §10.1.1).
    public var expectsContinue: Bool { @_noLocks get { fields.findings.expectsContinue && minorVersion > 0 } }
    /// Whether the request may be sent again without harm.
    public var isIdempotent: Bool { @_noLocks get { method.isIdempotent } }

    /// What Max-Forwards says of an OPTIONS or a TRACE (RFC 9110 §7.6.2), at most `Int.max`: if it is 0, the request
    /// goes no further and is answered here. -1 for other methods, and without a valid value.
    public var maxForwards: Int { @_noLocks get { fields.findings.maxForwards } }

    /// The host to route by: of an absolute target or of CONNECT's, else of the Host field. Without port and trailing
    /// dot, in the client's case; an IPv6 literal keeps its brackets. Empty if there is none.
    public var host: ByteRange { @_noLocks get { line.authority.isEmpty ? fields.findings.host : line.host } }

    /// Whether a client of HTTP/1.0 names no host at all, so that the edited head has to.
    public var lacksHost: Bool {
        @_noLocks get { minorVersion == 0 && line.authority.isEmpty && fields.findings.hostField.isEmpty }
    }

    /// Checks the bytes that have arrived, from the first one of the request on.
    ///
    /// Refuses as soon as no further byte can help. Bytes after the head are not looked at.
    ///
    /// - Parameter bytes: all bytes of the request so far; 64 more behind them are readable.
    @_noLocks public mutating func scan(_ bytes: UnsafeRawBufferPointer, limits: HeadLimits) -> HeadStatus {
        refusal = .none
        byteCount = 0
        guard let all = unsafe PaddedBytes(bytes) else { return nothingYet() }
        let bounded = all.limited(to: limits.headBytes)
        let status = scanLines(bounded, limits: limits)
        if status == .incomplete && all.count >= limits.headBytes { return refuse(.headTooLarge) }
        return status
    }

    @_noLocks @inline(never) private mutating func nothingYet() -> HeadStatus {
        line = RequestLine()
        return .incomplete
    }

    @_noLocks private mutating func scanLines(_ bytes: PaddedBytes, limits: HeadLimits) -> HeadStatus {
        let lineStatus = line.scan(bytes, limits: limits)
        if lineStatus != .complete {
            refusal = line.refusal
            return lineStatus
        }
        let status = fields.scan(bytes, from: line.versionEnd &+ 2, fieldLimit: limits.fields, isRequest: true)
        if status != .complete {
            refusal = fields.findings.refusal
            return status
        }
        return conclude(bytes)
    }

    /// Judges what only the whole head can show.
    @_noLocks @inline(__always) private mutating func conclude(_ bytes: PaddedBytes) -> HeadStatus {
        let findings = fields.findings
        if minorVersion > 0 && !findings.hasHost { return refuse(.missingHost) }
        if findings.hasTransferEncoding {
            // RFC 9112 §6.1: both are what request smuggling is made of.
            if minorVersion == 0 { return refuse(.transferEncodingInOldVersion) }
            if findings.hasLength { return refuse(.lengthWithTransferEncoding) }
            framing = .chunked
        } else {
            framing = findings.length > 0 ? .counted : .none
        }
        keepAlive = !findings.asksClose && (minorVersion > 0 || findings.asksKeepAlive)
        isUpgrade = findings.asksUpgrade && findings.hasUpgrade && minorVersion > 0 && method != .connect
        byteCount = Int(findings.end)
        if method == .options || method == .trace { fields.readMaxForwards(bytes) }
        return .complete
    }

    @_noLocks private mutating func refuse(_ refusal: Refusal) -> HeadStatus {
        self.refusal = refusal
        return .refused
    }
}
