/// Why a certificate and a key are not accepted. `description` is a sentence: what is wrong, and how to mend it.
public enum IdentityRefusal: Error, Hashable, Sendable {
    case certificateMissing
    case certificateBroken(reason: String)
    /// The certificate at this place of the chain, the first one being number 0.
    case chainBroken(place: Int, reason: String)
    case chainLong(limit: Int)
    case chainLarge(bytes: Int)
    case keyMissing
    case keyEncrypted
    case keyBroken(reason: String)
    case keyKind
    case keySmall
    case keyLarge(bits: Int)
    case mismatch
    case signatureWeak
    case refused(reason: String)
}

extension IdentityRefusal: CustomStringConvertible {
    public var description: String {
        switch self {
        case .certificateMissing:
            "There is no certificate: no line begins with -----BEGIN CERTIFICATE; "
                + "give the chain in PEM, the service's own certificate first."
        case .certificateBroken(let reason):
            "The certificate cannot be read (\(reason)); look at it with openssl x509 -text."
        case .chainBroken(let place, let reason):
            "The certificate at place \(place + 1) of the chain cannot be read (\(reason)); mend it or leave it out."
        case .chainLong(let limit):
            "The chain has more than \(limit) certificates; give the service's own and the intermediate ones alone."
        case .chainLarge(let bytes):
            "The chain has more than \(bytes) bytes, which every client would have to fetch; "
                + "give the service's own certificate and the intermediate ones alone."
        case .keyMissing:
            "There is no private key: no line begins with -----BEGIN PRIVATE KEY or the like; "
                + "give the key in PEM, not the certificate or the public key."
        case .keyEncrypted:
            "The private key is encrypted, and there is no way to ask for its password; decrypt it with openssl pkey."
        case .keyBroken(let reason):
            "The private key cannot be read (\(reason)); look at it with openssl pkey -check."
        case .keyKind:
            "The private key is of an unsupported type; use RSA, ECDSA with P-256, P-384 or P-521, "
                + "or Ed25519."
        case .keySmall:
            "A key of the certificate or its chain is too short, or of a kind that clients do not take; "
                + "use RSA with 2048 bits or more, or ECDSA with P-256."
        case .keyLarge(let bits):
            "The RSA key is too long, signing with it would be too slow; "
                + "use one of \(bits) bits at most, or ECDSA with P-256."
        case .mismatch:
            "The private key is not the certificate's; give the two that were made together, "
                + "the service's own certificate first."
        case .signatureWeak:
            "A certificate of the chain is signed with SHA-1 or MD5, which clients no longer accept; "
                + "have it reissued."
        case .refused(let reason):
            "The certificate and its key cannot be used (\(reason)); make new ones."
        }
    }
}
