/// What a call on a connection's TLS has come to.
public enum TLSOutcome: UInt8, BitwiseCopyable, Sendable {
    case done
    /// All input has been read, and more is needed.
    case more
    /// The client has said close_notify: nothing will come any more, and nothing is missing.
    case ended
    case failed
}

/// Why a connection's TLS has failed. All but the last two are the client's fault.
public enum TLSFailure: UInt8, BitwiseCopyable, Sendable, CaseIterable {
    /// Broken records or a broken handshake.
    case broken
    /// The first bytes are no record of TLS.
    case notTLS
    /// The first bytes are an HTTP request.
    case http
    /// No version in common.
    case version
    /// No cipher suite, group or signature scheme in common.
    case cipher
    /// No application protocol in common.
    case applicationProtocol
    /// The client gave up; `TLSResult.alert` says why.
    case alert
    /// There was no room for what has to be sent.
    case output
    case memory
}

/// A call's outcome, and how many bytes it was about.
public struct TLSResult: BitwiseCopyable, Sendable {
    public let outcome: TLSOutcome
    /// Where it has failed.
    public let failure: TLSFailure
    /// The client's alert (RFC 8446 §6) where that is the failure.
    public let alert: UInt8
    public let count: Int

    @_noLocks
    init(outcome: TLSOutcome, failure: TLSFailure = .broken, alert: UInt8 = 0, count: Int = 0) {
        self.outcome = outcome
        self.failure = failure
        self.alert = alert
        self.count = count
    }
}

/// What client and proxy have agreed on.
public struct TLSFacts: BitwiseCopyable, Sendable, Hashable {
    /// As on the wire: 0x0303 for 1.2, 0x0304 for 1.3.
    public let version: UInt16
    /// The cipher suite as on the wire.
    public let suite: UInt16
    /// By a ticket, without the certificate.
    public let isResumed: Bool

    @_noLocks
    init(version: UInt16, suite: UInt16, isResumed: Bool) {
        self.version = version
        self.suite = suite
        self.isResumed = isResumed
    }
}
