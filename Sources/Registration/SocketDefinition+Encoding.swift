extension SocketDefinition {
    /// The registration as it is sent. The bounds are the receiver's to check; `RegistrationLimits` tells them.
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        // An array that grows would leave pieces of the key behind.
        bytes.reserveCapacity(encodedByteCount)
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

    private var encodedByteCount: Int {
        let length = FieldCollector.integerBytes
        var count = 3 * length + 1 + address.utf8.count
        if let http { count += 2 * length + http.domainSuffix.utf8.count + http.pathPrefix.utf8.count }
        if let tls { count += 2 * length + tls.certificateBytes.count + tls.keyBytes.count }
        for (name, value) in attributes ?? [:] { count += 2 * length + name.utf8.count + value.utf8.count }
        return count
    }

    private var flags: RegistrationFlags {
        var flags = RegistrationFlags()
        if http != nil { flags.insert(.http) }
        if tls != nil { flags.insert(.tls) }
        if attributes != nil { flags.insert(.attributes) }
        return flags
    }
}
