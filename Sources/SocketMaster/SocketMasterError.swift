/// Why a service is not published, or why a connection of it has ended.
public struct SocketMasterError: Error, Sendable {
    /// The kind of a fault. New versions may add kinds, so a `switch` over them needs a `default`.
    public struct Code: Hashable, Sendable {
        private enum Kind: String {
            case invalidDefinition, invalidAddress, unreachable, refused, notUnderstood, clientAddressUnknown
            case sessionLost, closed
        }

        private let kind: Kind

        /// The definition cannot be registered with any proxy. Nothing has been sent.
        public static let invalidDefinition = Code(kind: .invalidDefinition)
        /// A text is not an address to register at, to listen on or to connect to.
        public static let invalidAddress = Code(kind: .invalidAddress)
        /// Nobody takes registrations there, or the connection broke before there was an answer.
        public static let unreachable = Code(kind: .unreachable)
        /// The proxy has refused the registration.
        public static let refused = Code(kind: .refused)
        /// What answered there does not take registrations.
        public static let notUnderstood = Code(kind: .notUnderstood)
        /// The proxy does not send clients' addresses (`SocketMasterConfiguration.wantsClientAddress`).
        public static let clientAddressUnknown = Code(kind: .clientAddressUnknown)
        /// The connection to the proxy has ended, and with it the connections of clients that it carried.
        public static let sessionLost = Code(kind: .sessionLost)
        /// The listener was closed before the service was published.
        public static let closed = Code(kind: .closed)
    }

    /// The kind of the fault.
    public let code: Code
    /// A sentence for people: what is wrong, and how to mend it. Of `refused` it has the proxy's own sentence.
    public let message: String
    /// The error of the system or of SwiftNIO behind it, if there is one.
    public let cause: (any Error)?

    /// An error of one's own, for tests of what an application makes of it.
    public init(code: Code, message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    private init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.init(code: code, message: message, cause: cause)
    }
}

extension SocketMasterError.Code: CustomStringConvertible {
    /// The name of the kind.
    public var description: String { kind.rawValue }
}

extension SocketMasterError: CustomStringConvertible {
    /// The sentence.
    public var description: String { message }
}

// Each kind with its sentence.
extension SocketMasterError {
    static func invalidDefinition(_ sentence: String) -> Self { Self(.invalidDefinition, sentence) }

    package static func invalidAddress(_ sentence: String) -> Self { Self(.invalidAddress, sentence) }

    static func unreachable(_ address: ControlAddress, reason: String, cause: (any Error)? = nil) -> Self {
        Self(.unreachable, "No proxy takes registrations at \(address): \(reason).", cause: cause)
    }

    static func refused(_ sentence: String) -> Self {
        Self(.refused, "The proxy has refused the registration: \(printable(sentence))")
    }

    static func notUnderstood(_ address: ControlAddress, reason: String) -> Self {
        Self(.notUnderstood, "What answers at \(address) is not a proxy for services: \(reason).")
    }

    static func clientAddressUnknown(_ address: ControlAddress) -> Self {
        Self(
            .clientAddressUnknown,
            "The proxy at \(address) does not tell the addresses of clients; update it, or do without them.")
    }

    static func sessionLost(reason: String, cause: (any Error)? = nil) -> Self {
        Self(.sessionLost, "The connection to the proxy has ended: \(reason).", cause: cause)
    }

    static let closed = Self(.closed, "The listener has been closed.")
}

/// What another program has said, for a terminal: nothing in it moves the cursor or begins a line.
private func printable(_ text: String) -> String {
    guard !text.isEmpty else { return "it gives no reason." }
    return String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? " " : $0 }))
}
