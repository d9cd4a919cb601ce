package import NIOCore

/// The header of PROXY protocol version 2 with which a proxy begins a raw stream if it was asked to: who the client is
/// (haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2.2).
package struct ProxyProtocolHeader: Equatable {
    package enum Parsed: Equatable {
        case needsMore
        case header(ProxyProtocolHeader)
        /// What is there is no such header.
        case broken
    }

    /// Bytes that it takes in front of the data.
    var byteCount: Int
    /// The client's address, and the one that it connected to. Nothing if the connection has none that can be told.
    package var source: SocketAddress?
    var destination: SocketAddress?

    /// The longest header that is read. Addresses of IP take 52 bytes; the rest is for extensions, which are skipped.
    static let maximumBytes = 1_024

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let fixedBytes = 16

    /// Reads the header at the beginning of these bytes.
    package static func parse(_ bytes: ByteBuffer) -> Parsed {
        var bytes = bytes
        let start = bytes.readBytes(length: min(bytes.readableBytes, signature.count)) ?? []
        guard signature.starts(with: start) else { return .broken }
        guard let (command, family, length) = bytes.readMultipleIntegers(as: (UInt8, UInt8, UInt16).self) else {
            return .needsMore
        }
        // Version 2; LOCAL (0) is a connection of the proxy's own, PROXY (1) one of a client.
        guard command == 0x20 || command == 0x21, fixedBytes + Int(length) <= maximumBytes else { return .broken }
        guard let addresses = bytes.readSlice(length: Int(length)) else { return .needsMore }
        let header = ProxyProtocolHeader(byteCount: fixedBytes + Int(length))
        guard command == 0x21 else { return .header(header) }
        // The high half is the family, the low one says that it is a stream.
        switch family {
        case 0x11: return withAddresses(header, addresses, addressBytes: 4)
        case 0x21: return withAddresses(header, addresses, addressBytes: 16)
        default: return .header(header)
        }
    }

    private static func withAddresses(
        _ header: ProxyProtocolHeader, _ bytes: ByteBuffer, addressBytes: Int
    ) -> Parsed {
        var bytes = bytes
        guard let source = bytes.readSlice(length: addressBytes),
            let destination = bytes.readSlice(length: addressBytes),
            let (sourcePort, destinationPort) = bytes.readMultipleIntegers(as: (UInt16, UInt16).self)
        else { return .broken }
        var header = header
        header.source = try? SocketAddress(packedIPAddress: source, port: Int(sourcePort))
        header.destination = try? SocketAddress(packedIPAddress: destination, port: Int(destinationPort))
        return .header(header)
    }
}
