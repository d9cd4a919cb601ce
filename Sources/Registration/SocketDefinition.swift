/// What a service asks for when it registers: where its clients shall connect, and which of them it wants.
///
/// This is the definition as it travels, nothing in it has been judged. `CanonicalDefinition` is what becomes of it.
public struct SocketDefinition: Hashable, Sendable {
    /// The address to listen on; empty for all of them. At most `RegistrationLimits.addressBytes`.
    public var address: String
    /// The port to listen on, 0...65535; 0 asks for any free one.
    public var port: Int
    /// Which HTTP requests the service wants; without it, it gets raw connections.
    public var http: HTTP?
    /// The certificate under which the port is served; without it, the port speaks plain unless another service brings
    /// one.
    public var tls: TLS?
    /// Named extras. `nil` is a service that does not know of them: it gets none in the response either.
    public var attributes: [String: String]?

    public init(
        address: String = "", port: Int, http: HTTP? = nil, tls: TLS? = nil, attributes: [String: String]? = nil
    ) {
        self.address = address
        self.port = port
        self.http = http
        self.tls = tls
        self.attributes = attributes
    }

    /// Which requests of a port a service wants. Empty texts match everything.
    public struct HTTP: Hashable, Sendable {
        /// The host itself or whole labels at its end; with a leading dot only sub-domains.
        public var domainSuffix: String
        /// The beginning of the decoded path, compared byte by byte.
        public var pathPrefix: String

        public init(domainSuffix: String = "", pathPrefix: String = "") {
            self.domainSuffix = domainSuffix
            self.pathPrefix = pathPrefix
        }
    }

    /// What it takes to speak TLS to clients, both in PEM.
    public struct TLS: Hashable, Sendable {
        package private(set) var certificateBytes: SecretBytes
        package private(set) var keyBytes: SecretBytes

        public init(certificate: [UInt8], key: [UInt8]) {
            certificateBytes = SecretBytes(.certificate, certificate)
            keyBytes = SecretBytes(.privateKey, key)
        }

        /// The certificate, followed by its chain if there is one.
        public var certificate: [UInt8] {
            get { certificateBytes.exposed }
            set { certificateBytes = SecretBytes(.certificate, newValue) }
        }

        /// The private key that belongs to the certificate. Neither a description nor a dump of this value shows it.
        public var key: [UInt8] {
            get { keyBytes.exposed }
            set { keyBytes = SecretBytes(.privateKey, newValue) }
        }
    }
}

/// The names of the attributes that both sides know. Others are ignored.
public enum RegistrationAttribute {
    /// Those that have a meaning here.
    package static let known: Set<String> = [name, reuseStreams, clientAddress, loopMarks, instance, port, reactors]

    /// What the service calls itself, for the log.
    public static let name = "name"
    /// `true`: idempotent requests may take a stream that has already carried one.
    public static let reuseStreams = "reuse-streams"
    /// The service wants each raw stream to begin with its client's address, in a header of PROXY protocol version 2.
    /// Any value but `false` and an empty one asks for it. In the response: it will be so.
    public static let clientAddress = "client-address"
    /// `true`: requests are marked (RFC 8586), and one that has come back again and again is answered with 508. For
    /// services that pass them on to a program that may be a proxy in front of this one. In the response: it is so.
    public static let loopMarks = "loop-marks"
    /// The value of `clientAddress` that says how.
    public static let proxyProtocol = "proxy-v2"
    /// Which program it is: sessions with the same value are one program, and what one of them has lost is not given to
    /// another of them first. 32 lower-case hexadecimal digits, 128 random bits.
    public static let instance = "instance"
    /// In the response: the port that is listened on, which matters when the service asked for port 0.
    public static let port = "port"
    /// In the response: how many reactors there are to spread over.
    public static let reactors = "reactors"
}
