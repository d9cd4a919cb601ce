#if Hummingbird
import HummingbirdCore
import Logging
import NIOCore

extension HTTPServerBuilder {
    /// What the application's server does with a connection: its codec, its channel handlers, its upgrades.
    ///
    /// A builder gives it to nobody but Hummingbird's own server, which binds a socket. So that server is built and not
    /// run, and what it would do with its connections is looked for in it by its type.
    func childChannel(
        group: any EventLoopGroup, logger: Logger, responder: @escaping HTTPChannelHandler.Responder
    ) throws -> any ServerChildChannel {
        let server = try buildServer(
            configuration: ServerConfiguration(), eventLoopGroup: group, logger: logger, responder: responder)
        guard let child = parts(of: server).compactMap({ $0 as? any ServerChildChannel }).first else {
            throw PublicationRefusal(
                description: "The application's server (\(type(of: server))) does not tell how it serves a connection; "
                    + "use serve(on:http:), which serves by HTTP/1.1.")
        }
        try refuseEncryption(in: child)
        return child
    }

    /// The proxy has ended the clients' TLS, and speaks HTTP/1.1 to services. A server that waits for something else
    /// would fail every request.
    private func refuseEncryption(in child: any ServerChildChannel) throws {
        let modules = parts(of: child).map { part in
            String(reflecting: type(of: part)).prefix { $0 != "." }
        }
        if modules.contains("HummingbirdHTTP2") {
            throw PublicationRefusal(
                description: "The application's server speaks HTTP/2, but a proxy brings requests in HTTP/1.1; "
                    + "build the application with .http1(), and give its certificate to the SocketDefinition.")
        }
        if modules.contains("HummingbirdTLS") {
            throw PublicationRefusal(
                description: "The application's server speaks TLS, but a proxy speaks it in its place; "
                    + "give the certificate to the SocketDefinition, and build the application with .http1().")
        }
    }
}

/// A value and what it is made of, some levels deep, the outer ones first. Objects in it are not looked into: they may
/// be event loops, which others change meanwhile.
private func parts(of value: Any) -> [Any] {
    var parts = [value]
    var level = [value]
    for _ in 0..<4 {
        let next = level.flatMap { Mirror(reflecting: $0).children.map { $0.value } }
        parts += next
        level = next.filter { !(type(of: $0) is AnyClass) }
    }
    return parts
}
#endif
