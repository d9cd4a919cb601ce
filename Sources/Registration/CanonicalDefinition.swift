/// A registration that has been judged, in a form in which equal wishes are equal.
///
/// What only the rest of the program can know is judged there: whether the address is one of this machine, whether
/// it overlaps another listener's, whether certificate and key fit.
public struct CanonicalDefinition: Hashable, Sendable {
    public let address: ListenAddress
    /// 0 asks for any free port.
    public let port: UInt16
    /// Which requests the service wants; `nil` if it wants raw connections.
    public let pattern: RoutePattern?
    /// Neither certificate nor key is empty.
    public var tls: SocketDefinition.TLS?
    /// `nil` if the service does not know of attributes, and then its response must have none.
    public let attributes: [String: String]?

    /// - Throws: the refusal that the service is to be told.
    public init(_ definition: SocketDefinition) throws(RegistrationRefusal) {
        guard let port = UInt16(exactly: definition.port) else {
            throw .portOutOfRange(definition.port)
        }
        self.port = port
        address = try ListenAddress(toListenOn: definition.address)
        if let http = definition.http {
            pattern = try RoutePattern(http, port: definition.port)
        } else {
            pattern = nil
        }
        tls = try Self.checked(definition.tls)
        attributes = definition.attributes
    }

    /// Whether idempotent requests may take a stream that has already carried one.
    public var reusesStreams: Bool { attributes?[RegistrationAttribute.reuseStreams] == "true" }

    /// Whether raw streams begin with the client's address. Requests bring it in a field.
    public var wantsClientAddress: Bool {
        guard pattern == nil, let value = attributes?[RegistrationAttribute.clientAddress] else { return false }
        return !value.isEmpty && value != "false"
    }

    /// Which program the service is, if it says so.
    public var instance: String? { attributes?[RegistrationAttribute.instance].flatMap { $0.isEmpty ? nil : $0 } }

    /// Whether requests are marked, so that those that come back are known.
    public var wantsLoopMarks: Bool { pattern != nil && attributes?[RegistrationAttribute.loopMarks] == "true" }

    /// What the service calls itself, if it does.
    public var name: String? { attributes?[RegistrationAttribute.name] }

    private static func checked(_ tls: SocketDefinition.TLS?) throws(RegistrationRefusal) -> SocketDefinition.TLS? {
        guard let tls else { return nil }
        guard !tls.certificateBytes.isEmpty else { throw .certificateMissing }
        guard !tls.keyBytes.isEmpty else { throw .keyMissing }
        return tls
    }
}
