package import Registration

/// What a service asks for: where its clients connect, and which of them it gets.
///
/// ```swift
/// SocketDefinition(port: 443, http: .init(domainSuffix: "example.com"), tls: .init(certificate: chain, key: key))
/// ```
public struct SocketDefinition: Hashable, Sendable {
    /// The address to listen on; empty for all of them. 255 bytes at most.
    public var address: String
    /// The port to listen on, 0...65535; 0 asks for any free one.
    public var port: Int
    /// Which HTTP requests the service gets; without it, it gets raw connections.
    public var http: HTTP?
    /// The certificate under which the port is served; without it, the port speaks plain unless another service brings
    /// one.
    public var tls: TLS?

    /// A definition; only the port has no default.
    public init(address: String = "", port: Int, http: HTTP? = nil, tls: TLS? = nil) {
        self.address = address
        self.port = port
        self.http = http
        self.tls = tls
    }

    /// Which requests of a port a service gets. Empty texts match everything.
    public struct HTTP: Hashable, Sendable {
        /// The host itself or whole labels at its end; with a leading dot sub-domains alone.
        public var domainSuffix: String
        /// The beginning of the decoded path, compared byte by byte.
        public var pathPrefix: String

        /// Requests for a host and a path; without arguments all requests of the port.
        public init(domainSuffix: String = "", pathPrefix: String = "") {
            self.domainSuffix = domainSuffix
            self.pathPrefix = pathPrefix
        }
    }

    /// What it takes to speak TLS to clients, both in PEM. Neither a description nor a dump of it shows the key.
    public struct TLS: Hashable, Sendable {
        fileprivate var wire: Registration.SocketDefinition.TLS

        /// Certificate, with its chain behind it, and key as bytes.
        public init(certificate: [UInt8], key: [UInt8]) {
            wire = .init(certificate: certificate, key: key)
        }

        /// Certificate, with its chain behind it, and key as texts.
        public init(certificate: String, key: String) {
            self.init(certificate: Array(certificate.utf8), key: Array(key.utf8))
        }

        /// The certificate, followed by its chain if there is one.
        public var certificate: [UInt8] {
            get { wire.certificate }
            set { wire.certificate = newValue }
        }

        /// The private key of the certificate.
        public var key: [UInt8] {
            get { wire.key }
            set { wire.key = newValue }
        }
    }
}

extension SocketDefinition {
    /// As it travels.
    func wire(attributes: [String: String]? = nil) -> Registration.SocketDefinition {
        .init(
            address: address, port: port,
            http: http.map { .init(domainSuffix: $0.domainSuffix, pathPrefix: $0.pathPrefix) }, tls: tls?.wire,
            attributes: attributes)
    }

    /// Checks all that can be known without a proxy: bounds, address, port, domain suffix, path prefix, and that
    /// neither certificate nor key is missing. `SocketMasterBootstrap` does so before anything is sent.
    /// - Throws: `SocketMasterError` of the code `invalidDefinition`, with the sentence that the proxy would have said.
    public func validate() throws { try wire().validate() }

    /// The form in which equal wishes are equal.
    package func canonical() throws -> CanonicalDefinition { try CanonicalDefinition(wire()) }
}

// What describes them shows no key.

extension SocketDefinition: CustomReflectable {
    /// What is shown of it.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: ["address": address.withoutKeys, "port": port, "http": http as Any, "tls": tls as Any],
            displayStyle: .struct)
    }
}

extension SocketDefinition.HTTP: CustomReflectable {
    /// What is shown of it.
    public var customMirror: Mirror {
        Mirror(
            self, children: ["domainSuffix": domainSuffix.withoutKeys, "pathPrefix": pathPrefix.withoutKeys],
            displayStyle: .struct)
    }
}

extension SocketDefinition.TLS: CustomReflectable {
    /// What the two are and how long. The certificate's file may have a key in it.
    public var customMirror: Mirror {
        Mirror(
            self, children: ["certificate": wire.certificateBytes, "key": wire.keyBytes], displayStyle: .struct)
    }
}
