// Raw connections without pipelines: a line for everybody who comes. SIGTERM lets those that there are end.
import Dispatch
import Glibc
import NIOCore
import SocketMaster

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 9000
let proxy = CommandLine.arguments.dropFirst(2).first ?? "127.0.0.1:9999"

var configuration = SocketMasterConfiguration()
configuration.wantsClientAddress = true
do {
    let bootstrap = SocketMasterBootstrap(proxy: try ControlAddress(parsing: proxy), configuration: configuration)
    let listener = try await bootstrap.listen(SocketDefinition(port: port))
    let termination = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .main)
    termination.setEventHandler { listener.channel.close(promise: nil) }
    // Nobody is served before SIGTERM is the source's.
    await withCheckedContinuation { registered in
        termination.setRegistrationHandler { registered.resume() }
        termination.resume()
    }
    await listener.serve { connection in
        let address = connection.remoteAddress?.ipAddress ?? "nobody"
        try await connection.executeThenClose { inbound, outbound in
            try await outbound.write(.init(string: "Hello \(address)\n"))
            for try await bytes in inbound { try await outbound.write(bytes) }
        }
    }
} catch {
    print(error)
    exit(1)
}
