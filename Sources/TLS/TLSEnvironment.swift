internal import CTLS

/// The oldest version of TLS that clients may come with.
public enum TLSVersion: Sendable, Hashable, CaseIterable {
    case v12
    case v13
}

/// Why TLS cannot be had. `description` is a sentence for who starts the program.
public enum TLSStartFailure: Error, Hashable, Sendable {
    /// Something has used OpenSSL before its memory could be set up.
    case late
    case algorithms(reason: String)
    case settings(reason: String)
}

extension TLSStartFailure: CustomStringConvertible {
    public var description: String {
        switch self {
        case .late: "OpenSSL was in use before it could be set up."
        case .algorithms(let reason): "OpenSSL's algorithms cannot be set up (\(reason)); reinstall it."
        case .settings(let reason): "OpenSSL refuses the settings for TLS (\(reason)); version 3.0 or later is needed."
        }
    }
}

/// What a process has once: OpenSSL, set up, and the keys of its tickets.
public enum TLSEnvironment {
    /// Sets OpenSSL up. To be called before anything else here, by one thread; what a later call asks for is ignored.
    public static func start(minimum: TLSVersion) throws(TLSStartFailure) {
        let result = ct_start(minimum == .v13)
        if result == CT_START_FINE { return }
        let reason = OpenSSLReason.take()
        if result == CT_START_LATE { throw .late }
        throw result == CT_START_PROVIDER ? .algorithms(reason: reason) : .settings(reason: reason)
    }

    /// OpenSSL's version, as it says it.
    public static var version: String { OpenSSLReason.version }

    /// For how long a ticket key is the newest one. Tickets are good for as long, so the two keys before the newest one
    /// open all that are.
    public static var ticketKeySeconds: UInt64 { 8 * 3600 }

    /// Makes a new key for tickets; whoever keeps the time calls it every `ticketKeySeconds`. One thread at a time.
    /// False: there was no randomness, and the key stays.
    public static func rotateTicketKeys() -> Bool { OpenSSLReason.rotateTicketKeys() }
}
