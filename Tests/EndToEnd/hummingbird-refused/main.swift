// Applications that cannot be served behind a proxy as they are, named by the first argument.
#if Hummingbird
import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
import HummingbirdTLS
import Logging
import NIOSSL
import SocketMaster
import SocketMasterHummingbird

let server: HTTPServerBuilder =
    switch CommandLine.arguments.dropFirst().first {
    case "tls": try .tls(.http1(), tlsConfiguration: .clientDefault)
    case "http2": try .http2Upgrade(tlsConfiguration: .clientDefault)
    case "plaintext-http2": .plaintextHTTP2()
    default: .http1()
    }
let log = Logger(label: "refused")
var app = Application(router: Router(), server: server)
app.beforeServerStarts { log.info("it is served") }
do {
    try await app.serve(on: .socketMaster(SocketDefinition(port: 0)))
} catch let refusal as PublicationRefusal {
    log.critical("\(refusal)")
}
#endif
