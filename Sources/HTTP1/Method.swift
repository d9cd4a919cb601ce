/// The method of a request (RFC 9110 §9, RFC 5789). Method names are case-sensitive: `get` is ``other``.
public enum Method: UInt8, Sendable, CaseIterable, BitwiseCopyable {
    case get
    case head
    case post
    case put
    case delete
    case connect
    case options
    case trace
    case patch
    /// Any other token.
    case other

    /// Whether repeating the request has the effect of making it once (RFC 9110 §9.2.2). Unknown methods have to be
    /// taken for not idempotent.
    @inlinable public var isIdempotent: Bool {
        @_noLocks get {
            switch self {
            case .get, .head, .put, .delete, .options, .trace: true
            case .post, .connect, .patch, .other: false
            }
        }
    }

    /// The longest method name that is read; the longest registered one has 17 bytes. Longer ones get 501.
    static var longestName: Int { @_noLocks get { 32 } }

    /// - Parameters:
    ///   - word: the first eight bytes from the start of the name, whatever follows the name included.
    ///   - count: bytes of the name.
    @_noLocks @inline(__always) init(word: UInt64, count: Int) {
        guard count < 8 else {
            self = .other
            return
        }
        let name = Word.first(count, of: word)
        switch count {
        case 3: self = name == Word.of("GET") ? .get : name == Word.of("PUT") ? .put : .other
        case 4: self = name == Word.of("POST") ? .post : name == Word.of("HEAD") ? .head : .other
        case 5: self = name == Word.of("PATCH") ? .patch : name == Word.of("TRACE") ? .trace : .other
        case 6: self = name == Word.of("DELETE") ? .delete : .other
        case 7: self = name == Word.of("OPTIONS") ? .options : name == Word.of("CONNECT") ? .connect : .other
        default: self = .other
        }
    }

    // The compiler's own comparisons make no promise about locks, and functions that do may not call them.
    @_noLocks @inlinable public static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }
    @_noLocks @inlinable public static func != (left: Self, right: Self) -> Bool { left.rawValue != right.rawValue }
}
