import Memory
import Reactor

/// The header of PROXY protocol version 2 that raw streams begin with where the registration asked for it: who the
/// client is, and what it connected to (haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2).
struct ProxyProtocolHeader {
    /// As many bytes as the longest one takes, with addresses of IPv6.
    private(set) var bytes = InlineArray<52, UInt8>(repeating: 0)
    /// How many of them it takes.
    private(set) var count = 16

    /// - Parameter family: 4, 6, or anything else for a connection that has no address.
    /// - Parameter addresses: source, destination (4 or 16 bytes each) and their ports, in network order.
    @_noLocks
    init(family: Int32, addresses: borrowing InlineArray<36, UInt8>) {
        // "\r\n\r\n\0\r\nQUIT\n", in two words.
        put(0x0D0A_0D0A_000D_0A51, at: 0, count: 8)
        put(0x5549_540A, at: 8, count: 4)
        var length = 0
        switch family {
        case 4:
            length = 12
            put(0x2111_000C, at: 12, count: 4)
        case 6:
            length = 36
            put(0x2121_0024, at: 12, count: 4)
        // LOCAL: whoever reads it takes the addresses of its own connection.
        default: put(0x2000_0000, at: 12, count: 4)
        }
        for place in 0..<length { bytes[16 + place] = addresses[place] }
        count += length
    }

    private mutating func put(_ value: UInt64, at place: Int, count: Int) {
        for number in 0..<count {
            bytes[place + number] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - number)))
        }
    }
}

extension Worker {
    /// The stream's first frame tells who the client is. It is no part of what the client has said: should the
    /// connection go to another session, that one gets its own, if it has asked for one.
    @_noLocks
    mutating func writeClientAddress(_ connection: Int32) {
        var addresses = InlineArray<36, UInt8>(repeating: 0)
        var span = addresses.mutableSpan
        let fd = connections[connection].client.fd
        let family = unsafe span.withUnsafeMutableBufferPointer { unsafe Sockets.addresses(fd, to: $0.baseAddress!) }
        let header = ProxyProtocolHeader(family: family, addresses: addresses)
        // The scratch of edited heads: no request is being edited while a raw connection gets its stream.
        for place in 0..<header.count { unsafe scratch.edited[place] = header.bytes[place] }
        unsafe offer(connection, scratch.edited.first(header.count))
    }
}
