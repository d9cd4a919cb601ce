/// What a connection is waited for.
enum Awaited {
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
struct Deadline {
    let time: UInt64
    let end: Awaited

    @_noLocks
    init(_ time: UInt64, _ end: Awaited) {
        self.time = time
        self.end = end
    }

    static var never: Deadline { @_noLocks get { Deadline(.max, .nothing) } }

    @_noLocks
    func sooner(_ other: Deadline) -> Deadline { other.time < time ? other : self }
}
