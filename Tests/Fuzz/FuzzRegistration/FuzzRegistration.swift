import Registration

/// Reads the input as what a service sends, and as what a proxy answers, in pieces that the first byte chooses.
/// However it is cut, the result is the same; what is accepted survives being written and read again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOne(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = unsafe Array(UnsafeBufferPointer(start: start, count: count))
    guard let first = input.first else { return 0 }
    let bytes = Array(input.dropFirst())
    let pieces = Int(first & 0x3f) + 1
    fuzzRegistration(bytes, pieces: pieces)
    fuzzResponse(bytes, pieces: pieces, expectsAttributes: first & 0x40 != 0)
    return 0
}

private func fuzzRegistration(_ bytes: [UInt8], pieces: Int) {
    var whole = RegistrationDecoder()
    let consumed = whole.receive(bytes.span)
    var parts = RegistrationDecoder()
    var consumedInParts = 0
    while consumedInParts < bytes.count, case .needsMore = parts.state {
        let piece = Array(bytes[consumedInParts..<min(bytes.count, consumedInParts + pieces)])
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

private func check(_ definition: SocketDefinition) {
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

private func fuzzResponse(_ bytes: [UInt8], pieces: Int, expectsAttributes: Bool) {
    var whole = RegistrationResponseDecoder(expectsAttributes: expectsAttributes)
    let consumed = whole.receive(bytes.span)
    var parts = RegistrationResponseDecoder(expectsAttributes: expectsAttributes)
    var consumedInParts = 0
    while consumedInParts < bytes.count, case .needsMore = parts.state {
        let piece = Array(bytes[consumedInParts..<min(bytes.count, consumedInParts + pieces)])
        consumedInParts += parts.receive(piece.span)
    }
    precondition(consumed == consumedInParts && whole.state == parts.state, "the cuts can be told from the result")
}

extension ListenAddress {
    fileprivate var parsable: String { self == .all ? "" : description }
}
