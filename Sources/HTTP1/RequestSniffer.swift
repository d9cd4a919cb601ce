/// Tells requests from other protocols by their first bytes, for ports that serve both.
public enum RequestSniffer {
    /// What the first bytes of a connection can be.
    public enum Verdict: UInt8, Sendable {
        /// They begin a request.
        case http
        /// No further byte makes them a request.
        case notHTTP
        /// They may become a request.
        case undecided

        // The compiler's own comparisons make no promise about locks, and functions that do may not call them.
        @_noLocks @inlinable public static func == (left: Self, right: Self) -> Bool { left.rawValue == right.rawValue }
        @_noLocks @inlinable public static func != (left: Self, right: Self) -> Bool { left.rawValue != right.rawValue }
    }

    /// The longest scheme of an absolute target that is waited for.
    private static var longestScheme: Int { @_noLocks get { 16 } }

    /// Judges the first bytes of a connection: a method, a space, and what begins a target (RFC 9112 §3.2).
    ///
    /// The start of the target is looked at because greetings of other protocols begin with a word and a space, too.
    ///
    /// - Parameter bytes: all bytes so far; 64 more behind them are readable.
    @_noLocks public static func judge(_ bytes: UnsafeRawBufferPointer) -> Verdict {
        guard let bytes = unsafe PaddedBytes(bytes) else { return .undecided }
        let methodEnd = bytes.endOfToken(from: 0)
        if methodEnd > Method.longestName { return .notHTTP }
        if methodEnd == bytes.count { return .undecided }
        if methodEnd == 0 || bytes[methodEnd] != Ascii.space { return .notHTTP }
        let target = methodEnd &+ 1
        if target == bytes.count { return .undecided }
        if Method(word: bytes.word(at: 0), count: methodEnd) == .connect { return .http }
        if bytes[target] == Ascii.slash || bytes[target] == Ascii.asterisk { return .http }
        return judgeScheme(bytes, from: target)
    }

    @_noLocks private static func judgeScheme(_ bytes: PaddedBytes, from start: Int) -> Verdict {
        var end = start
        while end < bytes.count && Ascii.isLetter(bytes[end]) && end &- start <= longestScheme { end &+= 1 }
        for offset in 0..<3 {
            if end &+ offset == bytes.count { return .undecided }
            if end == start || bytes[end &+ offset] != (offset == 0 ? Ascii.colon : Ascii.slash) { return .notHTTP }
        }
        return .http
    }
}
