import Registration

/// What must hold for any bytes, taken as a registration and as a response: however they are cut, the result is the
/// same, and what is accepted survives being written and read again. A broken rule traps.
enum RegistrationInvariants {
    /// The first byte says how large the pieces are into which the others are cut.
    static func check(_ input: [UInt8]) {
        guard let first = input.first else { return }
        let bytes = Array(input.dropFirst())
        let pieceBytes = Int(first & 0x3f) + 1
        checkRegistration(bytes, pieceBytes: pieceBytes)
        checkResponse(bytes, pieceBytes: pieceBytes, expectsAttributes: first & 0x40 != 0)
    }

    private static func checkRegistration(_ bytes: [UInt8], pieceBytes: Int) {
        var whole = RegistrationDecoder()
        let consumed = whole.receive(bytes.span)
        var parts = RegistrationDecoder()
        var consumedInParts = 0
        while consumedInParts < bytes.count, case .needsMore = parts.state {
            let piece = Array(bytes[consumedInParts..<min(bytes.count, consumedInParts + pieceBytes)])
            consumedInParts += parts.receive(piece.span)
            precondition(parts.bufferedBytes <= 2 * consumedInParts + 64, "memory does not follow what has arrived")
        }
        precondition(consumed == consumedInParts && whole.state == parts.state, "the cuts can be told from the result")
        switch whole.state {
        case .needsMore: precondition(consumed == bytes.count, "bytes are left, though more are needed")
        case .refused(let refusal): precondition(refusal.description.utf8.count < RegistrationLimits.statusBytes)
        case .complete(let definition): check(definition)
        }
    }

    private static func check(_ definition: SocketDefinition) {
        let encoded = definition.encoded()
        var decoder = RegistrationDecoder()
        precondition(decoder.receive(encoded.span) == encoded.count && decoder.state == .complete(definition))
        let canonical: CanonicalDefinition
        do throws(RegistrationRefusal) {
            canonical = try CanonicalDefinition(definition)
        } catch {
            precondition(error.description.utf8.count < RegistrationLimits.statusBytes)
            return
        }
        let address = try? ListenAddress(parsing: canonical.address.parsable)
        precondition(address == canonical.address, "the address is not read as it is written")
        guard let pattern = canonical.pattern else { return }
        let written = SocketDefinition.HTTP(domainSuffix: pattern.domainSuffix, pathPrefix: pattern.pathPrefix)
        let again = try? RoutePattern(written, port: definition.port)
        precondition(again == pattern, "the canonical pattern is not canonical")
    }

    private static func checkResponse(_ bytes: [UInt8], pieceBytes: Int, expectsAttributes: Bool) {
        var whole = RegistrationResponseDecoder(expectsAttributes: expectsAttributes)
        let consumed = whole.receive(bytes.span)
        var parts = RegistrationResponseDecoder(expectsAttributes: expectsAttributes)
        var consumedInParts = 0
        while consumedInParts < bytes.count, case .needsMore = parts.state {
            let piece = Array(bytes[consumedInParts..<min(bytes.count, consumedInParts + pieceBytes)])
            consumedInParts += parts.receive(piece.span)
        }
        precondition(consumed == consumedInParts && whole.state == parts.state, "the cuts can be told from the result")
    }
}

extension ListenAddress {
    fileprivate var parsable: String { self == .all ? "" : description }
}
