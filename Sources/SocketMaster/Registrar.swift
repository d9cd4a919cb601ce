import Logging
import NIOCore
import NIOPosix
import Registration

/// Makes one session: connects, registers, and says what came of it.
struct Registrar: Sendable {
    let address: ControlAddress
    let definition: SocketDefinition
    let configuration: SocketMasterConfiguration
    /// With what the lines are about, unless the application has said so itself.
    let log: Logger
    /// None until the definition has been checked.
    var metrics: ServiceMetrics?

    init(address: ControlAddress, definition: SocketDefinition, configuration: SocketMasterConfiguration, log: Logger) {
        self.address = address
        self.definition = definition
        self.configuration = configuration
        var log = log
        let about = ["service": definition.title(configuration), "port": "\(definition.port)"]
        for (key, value) in about where log[metadataKey: key] == nil { log[metadataKey: key] = "\(value)" }
        self.log = log
    }

    private static let connectTimeout = TimeAmount.seconds(5)
    /// How large one read of a session gets, in bytes: so much for one that is quiet, and for one in bulk.
    private static let smallRead = 4 << 10
    private static let largeRead = 256 << 10
    /// What may wait in the connection unsent. Streams wait beyond it, in their own queues, and in turns.
    private static let waterMark = ChannelOptions.Types.WriteBufferWaterMark(low: 256 << 10, high: 1 << 20)

    /// A registration under way.
    struct Attempt: Sendable {
        let result: EventLoopFuture<AcceptedRegistration>
        /// Nobody wants it any more: the result is a failure, and nothing is left of it.
        let abandon: @Sendable () -> Void
    }

    /// - Parameter port: the definition's own, or the one that the proxy has chosen before.
    func register(
        on eventLoop: any EventLoop, port: Int, withAttributes: Bool,
        makeAcceptor: @escaping @Sendable () -> any StreamAcceptor,
        onEvent: @escaping @Sendable (SessionEvent) -> Void
    ) -> Attempt {
        assert(0...Int(UInt16.max) ~= port, "a definition is checked before it is sent")
        let promise = eventLoop.makePromise(of: AcceptedRegistration.self)
        var definition = definition.wire(attributes: withAttributes ? attributes : nil)
        definition.port = port
        let registration = SecretBytes(.registration, definition.encoded())
        let registrar = self
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(Self.connectTimeout)
            .channelOption(.writeBufferWaterMark, value: Self.waterMark)
            .channelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: Self.smallRead, initial: Self.smallRead, maximum: Self.largeRead)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let handler = RegistrationHandler(
                        registration: registration, hasAttributes: withAttributes, promise: promise
                    ) { attributes in
                        guard registrar.isSatisfied(by: attributes) else { return nil }
                        return SessionHandler(
                            settings: registrar.settings(attributes), acceptor: makeAcceptor(), log: registrar.log,
                            onEvent: onEvent)
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
        let connection = connect(bootstrap)
        connection.whenFailure { promise.fail(RegistrationFailure.broken(connectReason($0), cause: $0)) }
        return Attempt(result: promise.futureResult) {
            promise.fail(RegistrationFailure.closed())
            connection.whenSuccess { $0.close(promise: nil) }
        }
    }

    private func connect(_ bootstrap: ClientBootstrap) -> EventLoopFuture<any Channel> {
        switch address.place {
        case .host(let host, let port): bootstrap.connect(host: host, port: port)
        case .unixDomainSocket(let path): bootstrap.connect(toUnixSocket: path)
        }
    }

    /// The definition with all that is asked for by name, to be checked before anything is sent.
    var wholeDefinition: Registration.SocketDefinition { definition.wire(attributes: attributes) }

    /// What the service asks for by name, the application's own wishes included.
    private var attributes: [String: String] {
        // What the library knows is asked for by its own name, or not at all.
        var attributes = configuration.attributes.filter { !RegistrationAttribute.known.contains($0.key) }
        if let name = configuration.name { attributes[RegistrationAttribute.name] = name }
        if definition.http != nil, configuration.reusesStreams {
            attributes[RegistrationAttribute.reuseStreams] = "true"
        }
        if asksForClientAddress {
            attributes[RegistrationAttribute.clientAddress] = RegistrationAttribute.proxyProtocol
        }
        if definition.http != nil, configuration.marksLoops { attributes[RegistrationAttribute.loopMarks] = "true" }
        attributes[RegistrationAttribute.instance] = configuration.instance ?? Self.instance
        return attributes
    }

    /// By which the proxy knows all sessions of this process: 128 random bits.
    private static let instance: String = (0..<4).map { _ in
        let digits = String(UInt32.random(in: 0...(.max)), radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()

    private var needsClientAddress: Bool { definition.http == nil && configuration.wantsClientAddress }

    private var asksForClientAddress: Bool {
        needsClientAddress || definition.http == nil && configuration.prefersClientAddress
    }

    /// Only a proxy that says so begins its streams with the client's address. From any other one what a client says
    /// would be taken for it, so that is no proxy to register at.
    func isSatisfied(by attributes: [String: String]?) -> Bool {
        !needsClientAddress || attributes?[RegistrationAttribute.clientAddress] != nil
    }

    private func settings(_ attributes: [String: String]?) -> SessionSettings {
        var settings = SessionSettings(configuration: configuration)
        settings.isHTTP = definition.http != nil
        settings.metrics = metrics
        settings.bringsClientAddress =
            asksForClientAddress && attributes?[RegistrationAttribute.clientAddress] != nil
        return settings
    }

    func error(for failure: any Error) -> SocketMasterError {
        switch failure {
        case RegistrationFailure.refused(let sentence): .refused(sentence)
        case RegistrationFailure.notUnderstood(let reason): .notUnderstood(address, reason: reason)
        case RegistrationFailure.attributesUnknown: .notUnderstood(address, reason: "its answer is cut short")
        case RegistrationFailure.closed(let cause):
            .unreachable(address, reason: "it closes the connection instead of an answer", cause: cause)
        case RegistrationFailure.clientAddressUnknown: .clientAddressUnknown(address)
        case RegistrationFailure.broken(let reason, let cause): .unreachable(address, reason: reason, cause: cause)
        default: .unreachable(address, reason: "\(failure)", cause: failure)
        }
    }

    /// The port that clients connect to, if the proxy tells one.
    func publicPort(_ attributes: [String: String]) -> Int? {
        attributes[RegistrationAttribute.port].flatMap { UInt16($0) }.flatMap { $0 == 0 ? nil : Int($0) }
    }

    /// The public address, as far as it is known.
    func publicAddress(_ attributes: [String: String]) -> SocketAddress? {
        let port = publicPort(attributes) ?? definition.port
        let host: String
        switch try? ListenAddress(parsing: definition.address) {
        case .all, nil: host = "::"
        case .ipv4(let value): host = "\(ListenAddress.ipv4(value))"
        case .ipv6(let high, let low):
            host = String("\(ListenAddress.ipv6(high: high, low: low))".dropFirst().dropLast())
        }
        return try? SocketAddress(ipAddress: host, port: port)
    }
}
