// Users of this module need no other one to say what they want.
@_exported public import Registration

extension SocketDefinition.TLS {
    /// Certificate, with its chain behind it, and key as texts in PEM.
    public init(certificate: String, key: String) {
        self.init(certificate: Array(certificate.utf8), key: Array(key.utf8))
    }
}
