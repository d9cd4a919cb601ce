/// Why a head is refused: a case for each cause, so that logs and tests can tell them apart.
///
/// Causes are reported in the order of the bytes; what only the whole head can show (a missing Host, two framings)
/// comes last. For a request ``status`` is what the client gets; any refused reply means 502 for its client.
public enum Refusal: UInt8, Sendable, CaseIterable {
    /// Nothing is refused.
    case none

    // The request line (RFC 9112 §3) and the status line (§4).
    case tooManyEmptyLines
    case badMethod
    case methodTooLong
    case badTarget
    case whitespaceInTarget
    case targetTooLong
    case badVersion
    case versionNotSupported
    case badStatusLine

    // Any line (RFC 9112 §2.2, RFC 9110 §5.5).
    case bareLineFeed
    case bareCarriageReturn
    case nullByte
    case controlByte

    // Field lines (RFC 9112 §5).
    case lineFolding
    case missingColon
    case spaceBeforeColon
    case badFieldName

    // Limits (RFC 6585 §5).
    case headTooLarge
    case tooManyFields
    case tooManyConnectionOptions

    // Host (RFC 9112 §3.2).
    case missingHost
    case repeatedHost
    case badHost

    // Framing (RFC 9112 §6).
    case badContentLength
    case conflictingLengths
    case badTransferEncoding
    case repeatedTransferEncoding
    case unknownTransferCoding
    case transferEncodingInOldVersion
    case lengthWithTransferEncoding
    /// `Content_Length`, `Transfer_Encoding`: framing for whoever takes `_` for `-`. In requests only.
    case foldedFramingName

    /// The status that a client whose request is refused gets; 0 for ``none``.
    public var status: UInt16 {
        @_noLocks get {
            switch self {
            case .none: 0
            case .targetTooLong: 414
            case .headTooLarge, .tooManyFields, .tooManyConnectionOptions: 431
            // RFC 9112 §3: a method longer than any that is known; §6.1: a coding that is not understood.
            case .methodTooLong, .unknownTransferCoding: 501
            case .versionNotSupported: 505
            default: 400
            }
        }
    }

    // The compiler's own comparisons make no promise about locks, and functions that do may not call them.
    @_noLocks @inlinable public static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }
    @_noLocks @inlinable public static func != (left: Self, right: Self) -> Bool { left.rawValue != right.rawValue }
}
