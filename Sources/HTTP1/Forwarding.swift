/// What an edited request tells the service about its client.
public struct Forwarding: Sendable {
    /// The longest text of an address: IPv6 with an embedded IPv4 address, or with a zone.
    public static var longestAddress: Int { @_noLocks get { 46 } }

    private var storage = InlineArray<46, UInt8>(repeating: 0)
    private var count: UInt8 = 0

    /// Whether the client speaks TLS to us.
    public var isTLS: Bool
    /// Whether what the client says about clients of its own is believed.
    public var isTrusted: Bool

    /// What tells a request that comes back: a number of this proxy's own; 0: the service gets none.
    public var loopMark: UInt64

    /// - Parameters:
    ///   - address: the client's address as text, without port and brackets; empty if it has none.
    ///   - isTLS: whether the client speaks TLS to us.
    ///   - isTrusted: whether X-Forwarded fields of the client are believed.
    /// - Precondition: the address has at most ``longestAddress`` bytes.
    @_noLocks
    public init(address: UnsafeRawBufferPointer, isTLS: Bool, isTrusted: Bool, loopMark: UInt64 = 0) {
        self.loopMark = loopMark
        self.isTLS = isTLS
        self.isTrusted = isTrusted
        precondition(address.count <= Self.longestAddress, "an address fits in 46 bytes")
        for index in 0..<address.count { storage[index] = unsafe address[index] }
        count = UInt8(truncatingIfNeeded: address.count)
    }

    /// Whether there is an address to tell.
    var hasAddress: Bool { @_noLocks get { count > 0 } }

    @_noLocks func appendAddress(to writer: inout ByteWriter) {
        unsafe withUnsafeBytes(of: storage) {
            unsafe writer.append(UnsafeRawBufferPointer(rebasing: $0[..<Int(count)]))
        }
    }
}
