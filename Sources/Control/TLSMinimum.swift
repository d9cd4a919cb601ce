internal import TLS

/// The oldest version of TLS that clients may come with.
public enum TLSMinimum: String, Sendable {
    case tls12 = "1.2"
    case tls13 = "1.3"

    /// - Throws: a sentence that says how to write it.
    public init(parsing text: String) throws(UnusableValue) {
        guard let version = TLSMinimum(rawValue: text) else { throw UnusableValue("the version is 1.2 or 1.3") }
        self = version
    }

    var version: TLSVersion {
        switch self {
        case .tls12: .v12
        case .tls13: .v13
        }
    }
}

extension TLSMinimum: CustomStringConvertible {
    public var description: String { rawValue }
}
