import HTTP1

// What clients get for each reason.
extension ListenerCounter {
    /// The status code of the reply; 0: there is none, the connection ends.
    public var status: UInt16 {
        @_noLocks get {
            switch self {
            case .answeredOptions: 200
            case .refusedFirstLine, .refusedField, .refusedHost, .refusedLength, .refusedPath, .refusedChunks: 400
            case .refusedPlain, .refusedHandshake: 400
            case .refusedUnrouted: 404
            case .refusedTrace: 405
            case .refusedLateHead, .refusedLateBody: 408
            case .refusedLongTarget: 414
            case .refusedLargeHead, .refusedManyFields: 431
            case .refusedMethod, .refusedCoding: 501
            case .failedMayHaveRun, .failedNotKept, .failedSpent, .failedBroken, .failedNoMemory: 502
            case .failedTooLarge, .failedTooManyFields, .failedNotHTTP, .failedBadFields: 502
            case .failedBadFraming, .failedUnaskedSwitch: 502
            case .refusedHoldOver, .refusedHoldLimit, .refusedHoldBytes, .refusedDraining, .refusedNoRoom: 503
            case .failedNoReply, .failedBodyNotTaken: 504
            case .refusedVersion: 505
            case .refusedLoop: 508
            default: 0
            }
        }
    }

    /// What more the reply says.
    var replyCause: CannedReply.Cause {
        @_noLocks get {
            switch self {
            case .refusedPlain: .plain
            case .refusedNoRoom, .failedNoMemory: .noRoom
            case .failedBodyNotTaken: .bodyNotTaken
            case .failedMayHaveRun: .mayHaveRun
            case .failedNotKept: .notKept
            case .failedSpent: .spent
            case .failedTooLarge: .replyTooLarge
            case .failedTooManyFields: .replyTooManyFields
            case .failedNotHTTP: .replyNotHTTP
            case .failedBadFields: .replyBadFields
            case .failedBadFraming: .replyBadFraming
            case .failedUnaskedSwitch: .replyUnaskedSwitch
            default: .none
            }
        }
    }

    /// A request whose head is refused.
    @_noLocks
    init(refusing refusal: Refusal) {
        self =
            switch refusal {
            case .tooManyEmptyLines, .badMethod, .badTarget, .whitespaceInTarget, .badVersion: .refusedFirstLine
            case .none, .badStatusLine: .refusedFirstLine
            case .methodTooLong: .refusedMethod
            case .targetTooLong: .refusedLongTarget
            case .versionNotSupported: .refusedVersion
            case .bareLineFeed, .bareCarriageReturn, .nullByte, .controlByte: .refusedField
            case .lineFolding, .missingColon, .spaceBeforeColon, .badFieldName: .refusedField
            case .headTooLarge: .refusedLargeHead
            case .tooManyFields, .tooManyConnectionOptions: .refusedManyFields
            case .missingHost, .repeatedHost, .badHost: .refusedHost
            case .badContentLength, .conflictingLengths, .badTransferEncoding: .refusedLength
            case .repeatedTransferEncoding, .transferEncodingInOldVersion: .refusedLength
            case .lengthWithTransferEncoding, .foldedFramingName: .refusedLength
            case .unknownTransferCoding: .refusedCoding
            }
    }

    /// A request whose service's reply is refused.
    @_noLocks
    init(refusingReply cause: CannedReply.Cause) {
        self =
            switch cause {
            case .replyTooLarge: .failedTooLarge
            case .replyTooManyFields: .failedTooManyFields
            case .replyNotHTTP: .failedNotHTTP
            case .replyBadFields: .failedBadFields
            case .replyBadFraming: .failedBadFraming
            case .replyUnaskedSwitch: .failedUnaskedSwitch
            case .none, .mayHaveRun, .notKept, .spent, .plain, .noRoom, .bodyNotTaken: .failedBroken
            }
    }

    /// The same for a raw connection.
    var ofRaw: ListenerCounter {
        @_noLocks get {
            switch self {
            case .refusedUnrouted: .closedUnrouted
            case .refusedHoldOver: .closedHoldOver
            case .refusedHoldLimit: .closedHoldLimit
            case .refusedHoldBytes: .closedHoldBytes
            case .refusedDraining: .closedDraining
            default: self
            }
        }
    }

    /// The same where the reply has begun.
    var ofBegunReply: ListenerCounter {
        @_noLocks get {
            switch self {
            case .refusedChunks: .cutBadRequest
            case .failedBodyNotTaken: .cutBodyNotTaken
            default: .cut
            }
        }
    }

    /// The same for a connection whose handshake is not done.
    var ofHandshake: ListenerCounter {
        @_noLocks get {
            switch self {
            case .clientGone: .handshakeLeft
            case .endedByDrain: .handshakeDrained
            case .resetOverLimit, .resetNoMemory: .handshakeNoMemory
            default: self
            }
        }
    }

    /// The process's figure of such handshakes. Those that have no reason of their own were left by their clients.
    var handshakes: Counter {
        @_noLocks get {
            switch self {
            case .handshakeNoVersion: .handshakesWithoutVersion
            case .handshakeNoSuite: .handshakesWithoutSuite
            case .handshakeNoProtocol: .handshakesWithoutProtocol
            case .handshakeGivenUp: .handshakesGivenUp
            case .handshakeNoTLS: .handshakesOfNoTLS
            case .handshakeBroken: .handshakesBroken
            case .handshakeLate: .handshakesExpired
            case .handshakeCrowded: .handshakesCrowded
            case .handshakeNoMemory: .handshakesWithoutMemory
            case .handshakeNoCertificate: .handshakesWithoutCertificate
            case .handshakeDrained: .handshakesDrained
            default: .handshakesLeft
            }
        }
    }
}
