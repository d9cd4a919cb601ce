extension Refusal {
    /// What a client is told of a reply whose head is refused for this; ``CannedReply/Cause/none`` for what only
    /// requests are refused for.
    public var replyCause: CannedReply.Cause {
        @_noLocks get {
            switch self {
            case .headTooLarge: .replyTooLarge
            case .tooManyFields, .tooManyConnectionOptions: .replyTooManyFields
            case .badVersion, .badStatusLine: .replyNotHTTP
            case .bareLineFeed, .bareCarriageReturn, .nullByte, .controlByte: .replyBadFields
            case .lineFolding, .missingColon, .spaceBeforeColon, .badFieldName: .replyBadFields
            case .badContentLength, .conflictingLengths, .lengthWithTransferEncoding: .replyBadFraming
            case .badTransferEncoding, .repeatedTransferEncoding, .unknownTransferCoding: .replyBadFraming
            case .transferEncodingInOldVersion: .replyBadFraming
            case .none, .foldedFramingName, .missingHost, .repeatedHost, .badHost: .none
            case .tooManyEmptyLines, .badMethod, .methodTooLong, .versionNotSupported: .none
            case .badTarget, .whitespaceInTarget, .targetTooLong: .none
            }
        }
    }
}
