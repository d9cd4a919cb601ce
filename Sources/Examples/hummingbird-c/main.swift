// An application that has all of its own: event loops, a logger, channel handlers, WebSockets, a bound of connections,
// another service. Behind a proxy it is served with all of that.
#if Hummingbird
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import SocketMaster
import SocketMasterHummingbird

let environment = Environment()
let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 8000
let proxy = try ControlAddress(parsing: CommandLine.arguments.dropFirst(2).first ?? "127.0.0.1:9999")
var definition = SocketDefinition(port: port)
if let certificate = environment.get("CERTIFICATE"), let key = environment.get("KEY") {
    definition.tls = .init(certificate: certificate, key: key)
}
let log = logger(level: environment.get("LOG_LEVEL"))

// Whichever of the two is started first.
var waiting = SocketMasterConfiguration()
waiting.waitsForProxy = true
let bootstrap = SocketMasterBootstrap(proxy: proxy, configuration: waiting)

let loops = MultiThreadedEventLoopGroup(numberOfThreads: 2)
let router = Router(context: LoopContext.self)
router.middlewares.add(LogRequestsMiddleware(.info))
router.get("loop") { _, context in
    loops.makeIterator().contains { $0 === context.eventLoop } ? "the application's own" : "another one"
}
router.post("length") { request, _ in "\(try await request.body.collect(upTo: 1 << 20).readableBytes) bytes" }
// Raw connections as well, on any port that is free.
var rawDefinition = definition
rawDefinition.port = 0
let echo = SocketMasterService(rawDefinition, bootstrap: bootstrap) { connection in
    try await connection.executeThenClose { inbound, outbound in
        for try await bytes in inbound { try await outbound.write(bytes) }
    }
}
var app = Application(
    router: router, server: .http1WithEcho(handlers: [EventLogger(log: log)]),
    configuration: ApplicationConfiguration(
        address: .hostname(port: port), serverName: "c",
        availableConnectionsDelegate: .maximum(environment.get("MAXIMUM").flatMap { Int($0) } ?? 1_000, logger: log)),
    services: [echo], onServerRunning: { _ in log.info("the server runs") },
    eventLoopGroupProvider: .shared(loops), logger: log)
app.beforeServerStarts { log.info("the server is about to start") }
try await app.serve(on: .socketMaster(definition, bootstrap: bootstrap))
#endif
