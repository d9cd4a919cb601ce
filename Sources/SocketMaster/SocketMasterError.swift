/// Why a service is not published, or a connection of it has ended.
public enum SocketMasterError: Error, Sendable {
    /// The definition cannot be registered anywhere; the sentence says what is wrong and how to mend it. Nothing has
    /// been sent.
    case invalidDefinition(String)
    /// A text is no address to listen on, to register at or to connect to.
    case invalidAddress(String)
    /// Nobody takes registrations there, or the connection broke before there was an answer.
    case unreachable(ControlAddress, reason: String)
    /// The proxy has refused the registration; this is what it said.
    case refused(String)
    /// Whoever answered there is no proxy that takes registrations.
    case notUnderstood(ControlAddress, reason: String)
    /// The proxy does not tell the clients' addresses (`SocketMasterConfiguration.wantsClientAddress`).
    case clientAddressUnknown(ControlAddress)
    /// The connection to the proxy has ended, and all connections of clients that it carried; the clause says why.
    case sessionLost(reason: String)
    /// The listener has been closed before the service was published.
    case closed
}

/// What another program has said, for a terminal: nothing in it moves the cursor or begins a line.
private func printable(_ text: String) -> String {
    guard !text.isEmpty else { return "it gives no reason." }
    return String(
        String.UnicodeScalarView(
            text.unicodeScalars.map { $0.value < 0x20 || (0x7F..<0xA0).contains($0.value) ? " " : $0 }))
}

extension SocketMasterError: CustomStringConvertible {
    /// A sentence for people.
    public var description: String {
        switch self {
        case .invalidDefinition(let sentence), .invalidAddress(let sentence): sentence
        case .unreachable(let address, let reason): "No proxy takes registrations at \(address): \(reason)."
        case .refused(let sentence): "The proxy has refused the registration: \(printable(sentence))"
        case .notUnderstood(let address, let reason): "What answers at \(address) is no proxy for services: \(reason)."
        case .clientAddressUnknown(let address):
            "The proxy at \(address) does not tell the addresses of clients; update it, or do without them."
        case .sessionLost(let reason): "The connection to the proxy has ended: \(reason)."
        case .closed: "The listener has been closed."
        }
    }
}
