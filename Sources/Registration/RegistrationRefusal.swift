/// Why a registration is not accepted. `description` is the status that its service gets: a sentence that says what
/// is wrong and how to mend it. It quotes a bounded, escaped part of what was sent, so that it may go into the log.
public enum RegistrationRefusal: Error, Hashable, Sendable {
    /// The parts of a registration or of its response that carry a length.
    public enum Field: UInt8, Sendable, CaseIterable {
        case address
        case domainSuffix
        case pathPrefix
        case certificate
        case key
        case attributeName
        case attributeValue
        case status
    }

    // Refused by the decoder.
    case length(Field, announced: Int, limit: Int)
    case attributeCount(announced: Int)
    case attributeRepeated(name: String)
    case notUTF8(Field)
    case portOutOfRange(Int)
    case unknownFlags(UInt8)

    // Refused by canonicalisation.
    case addressUnknown(String)
    case addressScoped(String)
    case addressUnusable(String, UnusableAddress)
    case domainIsAddress(String)
    case domainPort(String, registered: Int)
    case domainWildcard(String)
    case domainNotASCII(String)
    case domainInvalid(String)
    case pathRelative(String)
    case pathDotSegment(String)
    case certificateMissing
    case keyMissing
}

/// Addresses on which nobody could be served.
public enum UnusableAddress: Hashable, Sendable, CaseIterable {
    case linkLocal
    case multicast
    case broadcast
    case thisNetwork

    static let wayOutOfLinkLocal =
        "give another address of this machine, or none (*) for all of them, link-local ones among them"
}

extension UnusableAddress: CustomStringConvertible {
    /// A clause: what is wrong, and the way out.
    public var description: String {
        let other = "give an address of this machine, or none (*) for all of them"
        switch self {
        case .linkLocal:
            return "a link-local address needs an interface, which cannot be named; \(Self.wayOutOfLinkLocal)"
        case .multicast: return "no client can connect to a multicast address; \(other)"
        case .broadcast: return "no client can connect to the broadcast address; \(other)"
        case .thisNetwork: return "no machine has an address of 0.0.0.0/8; give 0.0.0.0 for all IPv4 addresses"
        }
    }
}

extension RegistrationRefusal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .length(let field, let announced, let limit):
            return Self.describeLength(field, announced: announced, limit: limit)
        case .attributeCount(let announced):
            return "The number of attributes is announced as \(announced), "
                + "but 0 to \(RegistrationLimits.attributes) are allowed."
        case .attributeRepeated(let name):
            return "The attribute \(quoted(name)) is given twice; give it once."
        case .notUTF8(let field):
            return "The \(field) is not valid UTF-8; write it in UTF-8."
        case .portOutOfRange(let port):
            return "There is no port \(port); choose one from 1 to 65535, or 0 for any free one."
        case .unknownFlags(let flags):
            let hexadecimal = String(flags, radix: 16)
            return "The flags 0x\(hexadecimal) are unknown; update socketmaster, or do not set them."
        case .certificateMissing:
            return "TLS was asked for without a certificate; give one in PEM, its chain behind it."
        case .keyMissing:
            return "TLS was asked for without a private key; give the one of the certificate in PEM."
        default:
            return describeMeaning()
        }
    }

    /// The sentences about texts that could be read but not be used.
    private func describeMeaning() -> String {
        switch self {
        case .addressUnknown(let text):
            return "The address \(quoted(text)) is neither an IP address nor localhost; "
                + "give an IP address of this machine without a port, or leave it empty for all addresses."
        case .addressScoped(let text):
            return "The address \(quoted(text)) cannot be listened on: \(Self.scoped)."
        case .addressUnusable(let text, let reason):
            return "The address \(quoted(text)) cannot be listened on: \(reason)."
        case .domainIsAddress(let text):
            return "The domain suffix \(quoted(text)) is an IPv6 address; leave it empty to get every host."
        case .domainPort(let text, let registered):
            return "The domain suffix \(quoted(text)) ends with another port than the registered \(registered); "
                + "give the domain alone."
        case .domainWildcard(let text):
            return "The domain suffix \(quoted(text)) has a wildcard; "
                + "a suffix matches sub-domains by itself, and with a leading dot nothing else."
        case .domainNotASCII(let text):
            return "The domain suffix \(quoted(text)) is not in ASCII; give it as browsers send it, with xn-- labels."
        case .domainInvalid(let text):
            return "The domain suffix \(quoted(text)) is no domain; "
                + "it takes labels of 1 to 63 letters, digits, hyphens or underscores with dots between them."
        case .pathRelative(let text):
            return "The path prefix \(quoted(text)) does not begin with a slash; begin it with one, or leave it empty."
        case .pathDotSegment(let text):
            return "The path prefix \(quoted(text)) has a segment of dots that no request is matched with; take it out."
        default:
            preconditionFailure("\(self) is described elsewhere")
        }
    }

    private static let scoped = "an interface (%) cannot be named; \(UnusableAddress.wayOutOfLinkLocal)"

    /// What is wrong with an address, and the way out, as a clause; nil if it is none at all.
    public var reasonOfAddress: String? {
        switch self {
        case .addressScoped: Self.scoped
        case .addressUnusable(_, let reason): "\(reason)"
        default: nil
        }
    }

    private static func describeLength(_ field: Field, announced: Int, limit: Int) -> String {
        // The first length is where everything else that dials the control address gives itself away.
        let hint = field == .address ? " Only services that speak the registration protocol may connect here." : ""
        return "The \(field) is announced with \(announced) bytes, but 0 to \(limit) are allowed.\(hint)"
    }
}

extension RegistrationRefusal.Field: CustomStringConvertible {
    public var description: String {
        switch self {
        case .address: "address"
        case .domainSuffix: "domain suffix"
        case .pathPrefix: "path prefix"
        case .certificate: "certificate"
        case .key: "private key"
        case .attributeName: "name of an attribute"
        case .attributeValue: "value of an attribute"
        case .status: "status"
        }
    }
}

/// At most 64 characters of a text between quotation marks, with everything escaped that could break a line or
/// disguise itself, and without keys: this text comes from a peer and goes into logs.
private func quoted(_ text: String) -> String {
    let limit = 64
    var result = "\""
    for (index, scalar) in text.withoutKeys.unicodeScalars.enumerated() {
        if index == limit {
            return result + "...\""
        }
        result += scalar.escaped(asASCII: true)
    }
    return result + "\""
}
