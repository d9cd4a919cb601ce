internal import NIOCore
internal import Registration
internal import SocketMaster

/// The PROXY protocol header, version 2, in front of a connection to the target.
enum ProxyHeader {
    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    static func make(for client: any Channel) -> ByteBuffer {
        var header = ByteBuffer(bytes: signature)
        guard let source = client.remoteAddress.flatMap(packed), let destination = client.localAddress.flatMap(packed),
            source.address.count == destination.address.count
        else {
            // LOCAL: a connection whose client cannot be told.
            header.writeBytes([0x20, 0x00, 0x00, 0x00])
            return header
        }
        let family: UInt8 = source.address.count == 4 ? 0x11 : 0x21
        header.writeBytes([0x21, family])
        header.writeInteger(UInt16(2 * source.address.count + 4))
        header.writeBytes(source.address + destination.address)
        header.writeMultipleIntegers(source.port, destination.port)
        return header
    }

    private static func packed(_ address: SocketAddress) -> (address: [UInt8], port: UInt16)? {
        guard let port = address.port.flatMap({ UInt16(exactly: $0) }) else { return nil }
        guard let text = address.ipAddress, let parsed = try? ListenAddress(parsing: text) else { return nil }
        return (parsed.networkBytes, port)
    }
}
