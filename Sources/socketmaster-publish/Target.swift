internal import NIOCore
internal import NIOPosix
internal import SocketMaster

/// The program that is published: where it listens, and a connection to it for each one of a client.
struct Target: Sendable {
    let address: ControlAddress
    let sendsHeader: Bool

    private static let connectTimeout = TimeAmount.seconds(5)

    /// Whether it accepts connections now.
    func isListening() async -> Bool {
        guard let channel = try? await connect(ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)).get()
        else {
            return false
        }
        try? await channel.close().get()
        return true
    }

    /// Connects a client's connection to it. As long as that is not done nothing of the client has been accepted: if it
    /// fails, the proxy may try elsewhere.
    func serve(_ client: any Channel) -> EventLoopFuture<Void> {
        let (clientRelay, targetRelay) = Relay.pair()
        let bound = NIOLoopBound((clientRelay, targetRelay), eventLoop: client.eventLoop)
        let sendsHeader = sendsHeader
        let bootstrap = ClientBootstrap(group: client.eventLoop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { target in
                target.eventLoop.makeCompletedFuture {
                    try target.pipeline.syncOperations.addHandler(bound.value.1)
                }
            }
        return connect(bootstrap).flatMapThrowing { target in
            if sendsHeader { target.write(ProxyHeader.make(for: client), promise: nil) }
            try client.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            do {
                try client.pipeline.syncOperations.addHandler(bound.value.0)
            } catch {
                target.close(promise: nil)
                throw error
            }
            if sendsHeader { target.flush() }
            // Its end may have come in the meantime, and then waits to be read.
            target.read()
        }
    }

    private func connect(_ bootstrap: ClientBootstrap) -> EventLoopFuture<any Channel> {
        let bootstrap = bootstrap.connectTimeout(Self.connectTimeout)
        if let path = address.unixDomainSocketPath {
            return bootstrap.connect(toUnixSocket: path)
        }
        return bootstrap.connect(host: address.host ?? "", port: address.port ?? 0)
    }
}

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
