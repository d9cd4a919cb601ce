/// The bounds of a registration. What is outside of them is refused before a byte of it is kept.
public enum RegistrationLimits {
    /// Bytes of an address; no way to write one is longer.
    public static let addressBytes = 255
    /// Bytes of a domain suffix (RFC 1035 §2.3.4, without the root).
    public static let domainSuffixBytes = 253
    /// Bytes of one label of a domain suffix (RFC 1035 §2.3.4).
    public static let labelBytes = 63
    /// Bytes of a path prefix: as long as any path that clients are allowed to ask for in practice.
    public static let pathPrefixBytes = 8_192
    /// Bytes of the certificate with its chain, and bytes of the key.
    public static let pemBytes = 1_048_576
    /// How many attributes there may be.
    public static let attributes = 64
    /// Bytes of one attribute, name and value together.
    public static let attributeBytes = 4_096
    /// Bytes of the status in a response, as far as a service listens to it.
    public static let statusBytes = 4_096
    /// The whole registration has to be there within this time, in milliseconds.
    public static let deadlineMilliseconds = 5_000

    /// The most that one registration can make its reader keep: the sum of all that may be in it.
    public static let registrationBytes =
        addressBytes + domainSuffixBytes + pathPrefixBytes + 2 * pemBytes + attributes * attributeBytes
}
