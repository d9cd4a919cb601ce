import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing

@testable import Registration
@testable import SocketMaster

private typealias SocketDefinition = SocketMaster.SocketDefinition

private let key = SecretTraces()
/// The file of a certificate often has its key behind it.
private let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n" + key.text

/// A definition with a key wherever somebody may have put one.
private func definition(port: Int = 443) -> SocketDefinition {
    SocketDefinition(
        address: key.text, port: port, http: .init(domainSuffix: key.text, pathPrefix: "/" + key.text),
        tls: .init(certificate: certificate, key: key.text))
}

/// The same as it travels.
private func wire(port: Int = 443) -> Registration.SocketDefinition {
    definition(port: port).wire(attributes: ["token": key.text, "name": key.text, key.text: "1"])
}

/// The same without mistakes, so that it is accepted.
private func soundDefinition(port: Int = 443) -> SocketDefinition {
    SocketDefinition(
        port: port, http: .init(), tls: .init(certificate: certificate, key: key.text))
}

private func soundWire() -> Registration.SocketDefinition { soundDefinition().wire(attributes: ["token": key.text]) }

private func configuration() -> SocketMasterConfiguration {
    var configuration = SocketMasterConfiguration()
    configuration.attributes = ["token": key.text, key.text: "1"]
    configuration.name = key.text
    configuration.instance = key.text
    return configuration
}

/// A decoder that has got as far as that.
private func decoder(_ bytes: some Sequence<UInt8>) -> RegistrationDecoder {
    var decoder = RegistrationDecoder()
    let bytes = Array(bytes)
    _ = decoder.receive(bytes.span)
    return decoder
}

private let silence = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

private func registrar() -> Registrar {
    Registrar(address: .standard, definition: soundDefinition(), configuration: configuration(), log: silence)
}

private func handler() -> RegistrationHandler {
    let promise = EmbeddedEventLoop().makePromise(of: AcceptedRegistration.self)
    promise.fail(RegistrationFailure.closed())
    let bytes = SecretBytes(.registration, soundWire().encoded())
    return RegistrationHandler(registration: bytes, hasAttributes: true, promise: promise) { _ in nil }
}

private func collector() -> FieldCollector {
    var collector = FieldCollector(expecting: 1_000)
    _ = collector.collect(key.bytes.span, from: 0)
    return collector
}

private func pool() -> SessionPool {
    let loop = EmbeddedEventLoop()
    return SessionPool(eventLoop: loop, group: loop, registrar: registrar(), log: silence)
}

/// Each type that holds a secret, by its name. `ProjectTests` looks in the sources for those that are missing here.
private func holders() -> [String: [Any]] {
    [
        "SecretBytes": [SecretBytes(.privateKey, key.bytes)],
        "SocketDefinition": [
            definition(), Optional(definition()) as Any, [definition()], ["a": definition()], wire(), [wire()],
        ],
        "SocketDefinition.HTTP": [definition().http as Any, wire().http as Any],
        "SocketDefinition.TLS": [
            definition().tls as Any, SocketDefinition.TLS(certificate: [], key: key.bytes), wire().tls as Any,
        ],
        "SocketMasterConfiguration": [configuration(), SocketMasterBootstrap(configuration: configuration())],
        "CanonicalDefinition": [(try? CanonicalDefinition(soundWire())) as Any],
        "RegistrationDecoder": [
            decoder(wire().encoded().dropLast(100)), decoder(wire().encoded().dropLast(700)),
            decoder(wire().encoded()),
        ],
        "RegistrationDecoder.State": [decoder(wire().encoded()).state],
        "FieldCollector": [collector()],
        "RegistrationResponse": [RegistrationResponse(status: key.text, attributes: ["token": key.text])],
        "Registrar": [registrar()],
        "RegistrationHandler": [handler()],
        "SessionPool": [pool()],
        "SocketMasterService": [SocketMasterService(definition()) { _ in }],
    ]
}

@Test func `nothing that holds a key shows it`() {
    for (name, values) in holders() {
        for value in values {
            let shown = SecretTraces.everythingShown(of: value)
            #expect(key.found(in: shown).isEmpty, "\(name)")
            #expect(!shown.contains("PRIVATE KEY"), "\(name)")
        }
    }
    #expect("\(soundDefinition())".contains("<private key, \(key.bytes.count) bytes>"))
    #expect("\(soundDefinition())".contains("<certificate, \(certificate.utf8.count) bytes>"))
}

/// This test would see it.
@Test func `a key that is shown is found`() {
    struct Careless { let key: [UInt8] }
    for value in [key.bytes, Careless(key: key.bytes), key.text, ["a": key.text]] as [Any] {
        #expect(!key.found(in: SecretTraces.everythingShown(of: value)).isEmpty)
    }
}

@Test func `a key can still be read by who wants it`() throws {
    let tls = try #require(soundDefinition().tls)
    #expect(tls.key == key.bytes && tls.certificate == Array(certificate.utf8))
    var changed = tls
    changed.key = [1]
    #expect(changed != tls && changed.key == [1] && tls.key == key.bytes)
    #expect(decoder(soundWire().encoded()).state == .complete(soundWire()))
}

@Test func `no refusal repeats a key that stands in the wrong field`() {
    var wrong = (0..<4).map { _ in SocketDefinition(port: 443) }
    wrong[0].address = key.text
    wrong[1].http = .init(domainSuffix: key.text)
    wrong[2].http = .init(pathPrefix: key.text)
    // Out of its PEM, in one line.
    wrong[3].http = .init(pathPrefix: key.text.split(separator: "\n").dropFirst().dropLast().joined())
    for definition in wrong {
        #expect(throws: SocketMasterError.self) { try definition.validate() }
        do { try definition.validate() } catch { expectNothing(of: error) }
        do { _ = try definition.canonical() } catch { expectNothing(of: error) }
    }
    for text in [key.text, "unix:\(key.text)", "\(key.text):1"] {
        do { _ = try ControlAddress(parsing: text) } catch { expectNothing(of: error) }
    }
}

private func expectNothing(of error: any Error) {
    #expect(key.found(in: SecretTraces.everythingShown(of: error)).isEmpty)
}

/// Keeps everything that is logged, at the lowest level.
private final class Collector: Sendable {
    let text = Mutex("")

    var logger: Logger {
        var logger = Logger(label: "test") { _ in Handler(collector: self) }
        logger.logLevel = .trace
        return logger
    }

    private struct Handler: LogHandler {
        let collector: Collector
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            collector.text.withLock { $0 += "\(event.message) \(event.metadata ?? [:])\n" }
        }
    }
}

@Test func `a service at trace logs nothing of its key from its registration to its end`() async throws {
    let proxy = try await WillingProxy()
    let collector = Collector()
    let log = collector.logger
    let bootstrap = SocketMasterBootstrap(
        proxy: .host("127.0.0.1", port: proxy.channel.localAddress?.port ?? 0), logger: log)
    let service = SocketMasterService(soundDefinition(port: 0), bootstrap: bootstrap) { _ in }
    // What a group of services does.
    log.debug("Starting service", metadata: ["service": "\(service)", "services": "\([service as Any])"])
    let running = Task { try await service.run() }
    while !collector.text.withLock({ $0.contains("registered") }) { try await Task.sleep(for: .milliseconds(5)) }
    running.cancel()
    try await running.value
    log.debug("Service finished", metadata: ["service": "\(service)"])
    let text = collector.text.withLock { $0 }
    #expect(key.found(in: text).isEmpty && text.contains("SocketMasterService(port 0 at 127.0.0.1:"))
    try await proxy.channel.close()
}

/// Whoever answers there has been sent the key, and may say it.
@Test func `what a proxy says of the key is not repeated`() async throws {
    let proxy = try await WillingProxy(status: "I refuse \(key.text)")
    do {
        _ = try await proxy.bootstrap.listen(soundDefinition())
        Issue.record("it was accepted")
    } catch {
        expectNothing(of: error)
        #expect("\(error)".contains("I refuse <PEM, \(key.bytes.count - 1) bytes>"))
    }
    try await proxy.channel.close()
}
