/// What a connection is waited for.
public enum Awaited: UInt8, BitwiseCopyable, Sendable {
    case nothing
    /// Any word, while the proxy ends: it has none to finish.
    case silence
    case handshake
    /// A session, or a route.
    case wait
    /// Enough bytes to tell whether it speaks HTTP.
    case sniffing
    /// A relay: any byte, of any side; bytes that wait for a side, to be taken; the service's acceptance, for which the
    /// client's end waits.
    case relay, relayedBytes, acceptance
    /// The client, to take what it is sent.
    case unsentBytes
    /// The client, to go.
    case farewell
    /// The rest of a request whose reply is out.
    case restOfBody
    /// The rest of a head; the beginning of one.
    case head, nextRequest
    /// The client, to go on with its request's body; the service, to take some of it.
    case body, bodyNotTaken
    /// The service, to begin its reply; and to go on with it.
    case reply, restOfReply
}

/// When patience ends, and with what.
public struct Deadline: BitwiseCopyable, Sendable {
    public let time: UInt64
    public let end: Awaited

    @_noLocks @inlinable
    public init(_ time: UInt64, _ end: Awaited) {
        self.time = time
        self.end = end
    }

    @inlinable public static var never: Deadline { @_noLocks get { Deadline(.max, .nothing) } }

    @_noLocks @inlinable
    public func sooner(_ other: Deadline) -> Deadline { other.time < time ? other : self }
}

/// How long anybody waits for what, in milliseconds.
public struct Timeouts: BitwiseCopyable, Sendable {
    /// Until a client of TLS has done its handshake, from its acceptance.
    public var handshake: UInt64 = 10_000
    /// Until the head of a request is complete, from its first byte.
    public var head: UInt64 = 30_000
    /// Between two requests.
    public var idle: UInt64 = 75_000
    /// Without a byte of an unfinished body, or with bytes that a side does not take.
    public var stall: UInt64 = 60_000
    /// Until a reply begins; 0: for ever.
    public var reply: UInt64 = 0
    /// Without a byte either way on a connection that is relayed; 0: for ever.
    public var relayIdle: UInt64 = 0

    @_noLocks
    public init() {}

    /// How long a client that was told to go may take to do so.
    @inlinable public static var closing: UInt64 { @_noLocks get { 2_000 } }
    /// A FIN before the service has accepted would never be acknowledged, so it is held back, but not for ever.
    @inlinable public static var finHold: UInt64 { @_noLocks get { 1_000 } }
    /// How long a client of a port shared by HTTP and raw routes may say nothing before it counts as raw.
    @inlinable public static var sniff: UInt64 { @_noLocks get { 1_000 } }
}

/// How the two halves of an exchange stand, as far as that says how long anybody waits.
public struct Situation: BitwiseCopyable, Sendable {
    public var mode: ConnectionMode
    /// Its TLS handshake is not done.
    public var isShaking = false
    /// What lies aside is the beginning of a head.
    public var isMidHead = false
    /// A first request has been read: from now on silence is idleness.
    public var hasServed = false
    /// The client has said something that nobody has taken: it lies aside; it waits in the kernel, to be spliced.
    public var hasBytes = false
    public var hasBulk = false
    /// The client has been sent something that it has not taken.
    public var hasUnsent = false
    /// Of what the kernel has got for it all has been acknowledged; it has been sent a FIN, too.
    public var hasAcknowledged = false
    public var finishSent = false
    /// Of a relay: one of its two directions has come to its end, or is about to.
    public var hasEndedDirection = false
    /// The client's end has come, and only waits to be passed on.
    public var endWaits = false
    /// When its wait for a session ends; 0: it does not wait.
    public var waitEnd: UInt64 = 0
    /// Until when a proxy that ends waits for its first word; `.max`: it has something to finish.
    public var silenceEnd: UInt64 = .max

    @_noLocks @inlinable
    public init(_ mode: ConnectionMode) { self.mode = mode }
}
