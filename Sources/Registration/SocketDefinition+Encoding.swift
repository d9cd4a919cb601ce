extension SocketDefinition {
    /// The registration as it is sent. The bounds are the receiver's to check; `RegistrationLimits` tells them.
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(field: address.utf8)
        bytes.append(integer: port)
        bytes.append(flags.rawValue)
        if let http {
            bytes.append(field: http.domainSuffix.utf8)
            bytes.append(field: http.pathPrefix.utf8)
        }
        if let tls {
            bytes.append(field: tls.certificate)
            bytes.append(field: tls.key)
        }
        if let attributes {
            bytes.append(map: attributes)
        }
        return bytes
    }

    private var flags: RegistrationFlags {
        var flags = RegistrationFlags()
        if http != nil { flags.insert(.http) }
        if tls != nil { flags.insert(.tls) }
        if attributes != nil { flags.insert(.attributes) }
        return flags
    }
}
