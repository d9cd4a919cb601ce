import Registration

// What is checked of a definition before it is sent, and what is asked for by name besides.
extension Registration.SocketDefinition {
    /// - Throws: `SocketMasterError` of the code `invalidDefinition`.
    func validate() throws {
        do throws(RegistrationRefusal) {
            try checkBounds()
            _ = try CanonicalDefinition(self)
        } catch {
            throw SocketMasterError.invalidDefinition(error.description)
        }
    }

    private func checkBounds() throws(RegistrationRefusal) {
        try check(address.utf8.count, .address, RegistrationLimits.addressBytes)
        if let http {
            try check(http.domainSuffix.utf8.count, .domainSuffix, RegistrationLimits.domainSuffixBytes)
            try check(http.pathPrefix.utf8.count, .pathPrefix, RegistrationLimits.pathPrefixBytes)
        }
        if let tls {
            try check(tls.certificateBytes.count, .certificate, RegistrationLimits.pemBytes)
            try check(tls.keyBytes.count, .key, RegistrationLimits.pemBytes)
        }
        guard let attributes else { return }
        guard attributes.count <= RegistrationLimits.attributes else {
            throw .attributeCount(announced: attributes.count)
        }
        for (name, value) in attributes {
            try check(name.utf8.count, .attributeName, RegistrationLimits.attributeBytes)
            try check(value.utf8.count, .attributeValue, RegistrationLimits.attributeBytes - name.utf8.count)
        }
    }

    private func check(
        _ count: Int, _ field: RegistrationRefusal.Field, _ limit: Int
    ) throws(RegistrationRefusal) {
        guard count <= limit else { throw .length(field, announced: count, limit: limit) }
    }
}
