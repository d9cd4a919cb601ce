internal import CTLS

/// The oldest version of TLS that clients may come with.
public enum TLSVersion: Sendable, Hashable, CaseIterable {
    case v12
    case v13
}

/// Why TLS cannot be had. `description` is a sentence for who starts the program.
public struct TLSStartFailure: Error, Hashable, Sendable {
    public let reason: String
}

extension TLSStartFailure: CustomStringConvertible {
    public var description: String { "TLS cannot be set up (\(reason)); free memory, or allow getrandom." }
}

/// What a process has once: the settings of TLS, and the keys of its tickets.
public enum TLSEnvironment {
    /// To be called before anything else here, by one thread; what a later call asks for is ignored.
    public static func start(minimum: TLSVersion) throws(TLSStartFailure) {
        guard ct_start(minimum == .v13) else { throw TLSStartFailure(reason: LibraryReason.take()) }
    }

    /// For how long a ticket key is the newest one. Tickets are good for as long, so the two keys before the newest one
    /// open all that are.
    public static var ticketKeySeconds: UInt64 { 8 * 3600 }

    /// Makes a new key for tickets; whoever keeps the time calls it every `ticketKeySeconds`. One thread at a time.
    /// False: there was no randomness, and the key stays.
    public static func rotateTicketKeys() -> Bool { ct_tickets_renew() }
}
