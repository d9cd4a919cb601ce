// Raw connections by channels, as with `ServerBootstrap.bind`: whatever a client says it gets back. SIGTERM lets those
// that there are end.
import Dispatch
import Glibc
import NIOCore
import SocketMaster

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9000
let proxy = CommandLine.arguments.dropFirst(2).first ?? "127.0.0.1:9999"

do {
    let bootstrap = SocketMasterBootstrap(proxy: try ControlAddress(parsing: proxy))
    let server = try await bootstrap.listen(SocketDefinition(port: port)) { channel in
        channel.eventLoop.makeCompletedFuture {
            try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
            return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }
    let termination = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .main)
    termination.setEventHandler { server.channel.close(promise: nil) }
    // Nobody is served before SIGTERM is the source's.
    await withCheckedContinuation { registered in
        termination.setRegistrationHandler { registered.resume() }
        termination.resume()
    }
    try await server.executeThenClose { clients in
        await withDiscardingTaskGroup { group in
            for await client in clients {
                group.addTask {
                    try? await client.executeThenClose { inbound, outbound in
                        for try await bytes in inbound { try await outbound.write(bytes) }
                    }
                }
            }
        }
    }
} catch {
    print(error)
    exit(1)
}
