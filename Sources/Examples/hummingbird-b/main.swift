// What the README of the Go program calls b.go, with Hummingbird: `http.Serve(listener, nil)` is `app.serve(on:)`.
#if Hummingbird
import Hummingbird
import SocketMaster
import SocketMasterHummingbird

let port = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 8000
let proxy = try ControlAddress(parsing: CommandLine.arguments.dropFirst(2).first ?? "127.0.0.1:9999")

let router = Router()
for path: RouterPath in ["/b", "/b/**"] { router.get(path) { _, _ in "From B" } }
let app = Application(router: router)
try await app.serve(
    on: .socketMaster(
        SocketDefinition(port: port, http: .init(pathPrefix: "/b")), bootstrap: SocketMasterBootstrap(proxy: proxy)))
#endif
