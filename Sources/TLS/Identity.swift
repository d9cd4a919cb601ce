internal import CTLS

/// A certificate chain with its key, ready to serve with. The key lies in BoringSSL's memory alone and is wiped when
/// the last user has gone: this object, tables that list it, connections that began with it.
///
/// Immutable after its making, hence shared by all threads: BoringSSL counts its users with atomic operations.
@safe
public final class Identity: @unchecked Sendable {
    /// What keys are for; decides who can be served with it.
    public enum Kind: Sendable, Hashable {
        case rsa
        /// ECDSA or Ed25519.
        case modern
    }

    /// DNS names, in lower case; a wildcard begins with `*.`. Those of the certificate that are none are left out.
    public let names: [String]
    public let kind: Kind
    /// Seconds since 1970.
    public let notBefore: Int64
    public let notAfter: Int64
    /// SHA-256 of the service's own certificate.
    public let fingerprint: [UInt8]

    let context: OpaquePointer
    let scheme: UInt16

    /// Reads a chain, the service's own certificate first, and its key, both PEM: PKCS#8, PKCS#1 or SEC1. Whether it is
    /// valid now does not matter here; see `validity(at:)`.
    public init(chain: [UInt8], key: [UInt8]) throws(IdentityRefusal) {
        var read = unsafe ct_identity()
        let failure = unsafe chain.withUnsafeBufferPointer { chain in
            unsafe key.withUnsafeBufferPointer { key in unsafe Self.read(chain, key, &read) }
        }
        guard failure == CT_IDENTITY_FINE, let context = unsafe read.context else {
            throw unsafe Self.refusal(failure, place: Int(read.place))
        }
        unsafe self.context = context
        self.scheme = unsafe read.scheme
        self.kind = unsafe read.scheme == 0 ? .rsa : .modern
        self.notBefore = unsafe read.not_before
        self.notAfter = unsafe read.not_after
        self.fingerprint = unsafe withUnsafeBytes(of: read.fingerprint) { unsafe Array($0) }
        self.names = unsafe Self.names(of: context)
    }

    deinit {
        unsafe ct_context_release(context)
    }

    /// Both texts are read where they lie, and not kept.
    private static func read(
        _ chain: UnsafeBufferPointer<UInt8>,
        _ key: UnsafeBufferPointer<UInt8>,
        _ identity: inout ct_identity
    ) -> ct_identity_failure {
        let chainText = unsafe UnsafeRawBufferPointer(chain).assumingMemoryBound(to: CChar.self)
        let keyText = unsafe UnsafeRawBufferPointer(key).assumingMemoryBound(to: CChar.self)
        return unsafe ct_identity_read(
            chainText.baseAddress, chainText.count, keyText.baseAddress, keyText.count, &identity)
    }

    private static func refusal(_ failure: ct_identity_failure, place: Int) -> IdentityRefusal {
        let reason = LibraryReason.take()
        switch failure {
        case CT_IDENTITY_CERTIFICATE_MISSING: return .certificateMissing
        case CT_IDENTITY_CERTIFICATE_BROKEN: return .certificateBroken(reason: reason)
        case CT_IDENTITY_CHAIN_BROKEN: return .chainBroken(place: place, reason: reason)
        case CT_IDENTITY_CHAIN_LARGE: return .chainLarge(bytes: Int(CT_CHAIN_BYTES))
        case CT_IDENTITY_CHAIN_LONG: return .chainLong(limit: Int(CT_CHAIN_CERTIFICATES))
        case CT_IDENTITY_KEY_MISSING: return .keyMissing
        case CT_IDENTITY_KEY_ENCRYPTED: return .keyEncrypted
        case CT_IDENTITY_KEY_BROKEN: return .keyBroken(reason: reason)
        case CT_IDENTITY_KEY_KIND: return .keyKind
        case CT_IDENTITY_KEY_SMALL: return .keySmall
        case CT_IDENTITY_KEY_LARGE: return .keyLarge(bits: Int(CT_RSA_BITS))
        case CT_IDENTITY_MISMATCH: return .mismatch
        case CT_IDENTITY_SIGNATURE_WEAK: return .signatureWeak
        default: return .refused(reason: reason)
        }
    }

    private static func names(of context: OpaquePointer) -> [String] {
        var names: [String] = []
        unsafe withUnsafeMutablePointer(to: &names) { names in
            unsafe ct_identity_names(context, names) { taker, text, count in
                guard let text = unsafe text, let taker = unsafe taker else { return }
                let bytes = unsafe UnsafeRawBufferPointer(start: text, count: count)
                guard let name = unsafe CertificateName.text(of: Array(bytes)) else { return }
                unsafe taker.assumingMemoryBound(to: [String].self).pointee.append(name)
            }
        }
        return names
    }
}

extension Identity {
    /// The kind of its key, for people.
    public var keyName: String {
        switch scheme {
        case 0: "RSA"
        case 0x0807: "Ed25519"
        default: "ECDSA"
        }
    }

    /// The beginning of the fingerprint, in hexadecimal digits: enough to tell certificates apart.
    public var fingerprintText: String {
        fingerprint.prefix(8).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    /// Whether a certificate is good at some time. One that is not is served with all the same, so that expiry does not
    /// turn a restart into an outage.
    public enum Validity: Sendable, Hashable {
        case valid
        case notYet
        case expired
    }

    public func validity(at secondsSince1970: Int64) -> Validity {
        if secondsSince1970 < notBefore { return .notYet }
        return secondsSince1970 > notAfter ? .expired : .valid
    }
}
