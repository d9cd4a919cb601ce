/// Figures of one listener on one reactor, each a word that the reactor alone writes. They begin at 0 when the listener
/// is opened. Clients of listeners that have been closed have figures of their own, behind those of the last listener.
///
/// Whatever refuses, closes, cuts or resets a client demands one of these as its reason, so each way of being turned
/// away is counted once, where it happens. `failedMayHaveRun` to `failures` are failures: the log tells of them.
public enum ListenerCounter: Int, CaseIterable, Sendable {
    /// Clients that had to wait for a service.
    case held
    /// Of those: served after all, gone unserved when their time was over.
    case released
    case expired
    /// Clients turned away at once, because too many waited, they had said too much, or the proxy ends.
    case refused
    /// Exchanges that came to nothing and were sent again.
    case sentAgain
    /// Streams taken back from a service that had not accepted them.
    case takenBack

    /// Requests answered with 502 because they may have been executed and must not be executed twice.
    case failedMayHaveRun
    /// The same because they were too large to be kept.
    case failedNotKept
    /// The same because they had been tried often enough, or for as long as anybody waits.
    case failedSpent
    /// The same because the service's reply was none: its head was no whole one.
    case failedBroken
    /// Relays and begun replies that ended with their service.
    case cut
    /// Replies whose head was refused, by what was wrong with it.
    case failedTooLarge
    case failedTooManyFields
    case failedNotHTTP
    case failedBadFields
    case failedBadFraming
    case failedUnaskedSwitch
    /// Begun replies whose chunks were none.
    case cutBrokenChunks
    /// There was no memory for the head of the reply.
    case failedNoMemory

    // Requests that get a reply of ours, by what was wrong with them (see ``Refusal``).
    case refusedFirstLine
    case refusedField
    case refusedHost
    case refusedLength
    case refusedPath
    case refusedChunks
    /// HTTP without TLS on a listener that speaks it.
    case refusedPlain
    /// A handshake of TLS on a listener that does not speak it.
    case refusedHandshake
    /// Nobody has registered the host and path.
    case refusedUnrouted
    /// A TRACE that may go no further.
    case refusedTrace
    /// Neither the head nor the body came in time.
    case refusedLateHead
    case refusedLateBody
    case refusedLongTarget
    case refusedLargeHead
    case refusedManyFields
    case refusedMethod
    case refusedCoding
    case refusedVersion
    /// It has come back again and again.
    case refusedLoop
    /// Requests for a service that is not there: their time is over, too many wait or have said too much, the proxy
    /// ends, or there is no stream or block for them.
    case refusedHoldOver
    case refusedHoldLimit
    case refusedHoldBytes
    case refusedDraining
    case refusedNoRoom
    /// The service did not reply in time, or did not take the body.
    case failedNoReply
    case failedBodyNotTaken

    // Raw connections, for the same reasons as requests.
    case closedUnrouted
    case closedHoldOver
    case closedHoldLimit
    case closedHoldBytes
    case closedDraining
    /// Relays without a byte for too long.
    case closedIdle
    /// Records of TLS that could not be opened.
    case closedBadRecords
    /// There was no stream, no slot or no block for the connection.
    case resetNoRoom
    /// Too many were waiting for a slot.
    case resetQueueFull
    /// A client took nothing of what it had to be sent; a side of a half-closed relay did not.
    case resetStalledClient
    case resetStalledRelay
    /// The process held too much, and this connection most of it.
    case resetOverLimit
    case resetNoMemory
    /// Begun replies that ended before they were whole: the request's chunks were none, the service took no more of
    /// the body, nothing moved for too long.
    case cutBadRequest
    case cutBodyNotTaken
    case cutIdle
    /// Connections that were left when the time to drain was over.
    case cutDrained

    // Handshakes of TLS that failed, by cause.
    case handshakeNoVersion
    case handshakeNoSuite
    case handshakeNoProtocol
    case handshakeGivenUp
    case handshakeNoTLS
    case handshakeBroken
    case handshakeLate
    case handshakeCrowded
    case handshakeNoMemory
    case handshakeNoCertificate
    case handshakeDrained

    /// The sum of all those from `failedMayHaveRun` on.
    case failures

    // What clients do every day, and no failure: nobody is told.

    /// A request that asked us alone.
    case answeredOptions
    /// Clients that reset their connection or left in the middle of something.
    case clientGone
    /// The same while they waited for a service.
    case clientLeftWaiting
    /// Silent between two requests, silent from the beginning, silent when the proxy ended.
    case endedIdle
    case endedSilent
    case endedByDrain
    /// The longest idle, at `--max-connections`.
    case endedForOthers
    /// Clients that left before their handshake was done.
    case handshakeLeft
    /// Clients that were accepted and had to wait for a slot.
    case parked

    /// Words from one listener's figures to the next one's.
    public static var stride: Int { @_noLocks get { 96 } }

    var place: Int {
        @_noLocks get { Int(unsafe unsafeBitCast(self, to: UInt8.self)) }
    }

    /// Whether the log tells of it.
    public var isFailure: Bool {
        @_noLocks get {
            place >= ListenerCounter.failedMayHaveRun.place && place < ListenerCounter.failures.place
        }
    }
}
