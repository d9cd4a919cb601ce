/// Which requests of a listener a service wants, in canonical form: the key of an HTTP route.
///
/// Equality is that of the bytes. Swift's texts are equal if they look alike, but paths are matched byte by byte.
public struct RoutePattern: Sendable {
    /// In lower case, without a trailing dot or a port, with its leading dot if it has one. Empty: every host.
    public let domainSuffix: String
    /// With a slash at its beginning; `/` is every path, and what an empty one becomes.
    public let pathPrefix: String

    /// - Parameter port: the registered port. Services of the original wrote it behind their domain.
    public init(_ http: SocketDefinition.HTTP, port: Int) throws(RegistrationRefusal) {
        domainSuffix = try canonicalDomainSuffix(http.domainSuffix, port: port)
        let prefix = try checkedPathPrefix(http.pathPrefix)
        pathPrefix = prefix.isEmpty ? "/" : prefix
    }
}

extension RoutePattern: Hashable {
    public static func == (left: RoutePattern, right: RoutePattern) -> Bool {
        left.domainSuffix == right.domainSuffix && left.pathPrefix.utf8.elementsEqual(right.pathPrefix.utf8)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(domainSuffix)
        // The text's own hash fits too: what is equal in bytes is equal as a text.
        hasher.combine(pathPrefix)
    }
}

/// Lower-cases, drops a port that is the registration's own and a trailing dot, and checks the labels.
private func canonicalDomainSuffix(_ text: String, port: Int) throws(RegistrationRefusal) -> String {
    var bytes = Array(text.utf8)[...]
    try dropPort(&bytes, of: text, port: port)
    if bytes.isEmpty {
        return ""
    }
    if bytes.count > 1, bytes.last == UInt8(ascii: ".") {
        bytes.removeLast()
    }
    let labels = bytes.first == UInt8(ascii: ".") ? bytes.dropFirst() : bytes
    for label in labels.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
        try checkLabel(label, of: text)
    }
    return String(decoding: bytes, as: UTF8.self).lowercased()
}

/// The original compared the suffix with the Host field as it came, port included.
private func dropPort(
    _ bytes: inout ArraySlice<UInt8>, of text: String, port: Int
) throws(RegistrationRefusal) {
    guard let colon = bytes.lastIndex(of: UInt8(ascii: ":")) else { return }
    guard !bytes.contains(UInt8(ascii: "[")), bytes.firstIndex(of: UInt8(ascii: ":")) == colon else {
        throw .domainIsAddress(text)
    }
    guard let given = parseDecimal(bytes[(colon + 1)...], limit: 65_535) else { throw .domainInvalid(text) }
    guard given == port else { throw .domainPort(text, registered: port) }
    bytes = bytes[..<colon]
}

/// Letters, digits, hyphens and underscores, wherever in the label: names that only resolve are used as well as names
/// that may be registered.
private func checkLabel(_ label: ArraySlice<UInt8>, of text: String) throws(RegistrationRefusal) {
    for byte in label {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            break
        case UInt8(ascii: "*"): throw .domainWildcard(text)
        case 0x80...0xff: throw .domainNotASCII(text)
        default: throw .domainInvalid(text)
        }
    }
    guard (1...RegistrationLimits.labelBytes).contains(label.count) else {
        throw .domainInvalid(text)
    }
}

/// A prefix is compared as it stands, nothing in it is decoded: it has to look like a decoded path.
private func checkedPathPrefix(_ text: String) throws(RegistrationRefusal) -> String {
    guard !text.isEmpty else { return "" }
    guard text.utf8.first == UInt8(ascii: "/") else {
        throw .pathRelative(text)
    }
    // The last segment may go on in the path: "/a/." is the beginning of "/a/.well-known".
    let segments = text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropLast()
    guard !segments.contains(where: { $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) }) else {
        throw .pathDotSegment(text)
    }
    return text
}
