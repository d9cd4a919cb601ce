import Logging
import NIOCore
import NIOEmbedded
import Registration
import Testing
import Yamux

@testable import SocketMaster

/// A service that registers, in virtual time.
private final class Registering {
    let channel = EmbeddedChannel()
    let acceptor = TestAcceptor()
    private(set) var result: Result<AcceptedRegistration, any Error>?

    init(hasAttributes: Bool = true) throws {
        let promise = channel.embeddedEventLoop.makePromise(of: AcceptedRegistration.self)
        promise.futureResult.assumeIsolated().whenComplete { self.result = $0 }
        let handler = RegistrationHandler(
            registration: SecretBytes(.registration, [1, 2, 3]), hasAttributes: hasAttributes, promise: promise
        ) {
            _ in
            SessionHandler(
                settings: SessionSettings(), acceptor: self.acceptor, log: Logger(label: "test"), onEvent: { _ in })
        }
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 9999)).wait()
        #expect(try channel.readOutbound(as: ByteBuffer.self)?.bytes == [1, 2, 3])
    }

    func receive(_ bytes: [UInt8]) throws {
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        channel.embeddedEventLoop.run()
    }

    var failure: RegistrationFailure? {
        guard case .failure(let error) = result else { return nil }
        return error as? RegistrationFailure
    }

    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }
}

private let accepted = RegistrationResponse(status: "OK", attributes: ["port": "80", "reactors": "4"]).encoded()

@Test func `a response is understood in any pieces, and frames may follow in the same segment`() throws {
    let bytes = accepted + FrameHeader.ping(9).bytes
    for size in [1, 7, 13, bytes.count] {
        let registering = try Registering()
        for start in stride(from: 0, to: bytes.count, by: size) {
            try registering.receive(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        #expect(try registering.result?.get().attributes == ["port": "80", "reactors": "4"])
        var sent: [UInt8] = []
        while let piece = try registering.channel.readOutbound(as: ByteBuffer.self) { sent += piece.bytes }
        let pong = FrameHeader.pong(9).bytes
        #expect(sent.suffix(pong.count).elementsEqual(pong) && registering.channel.isActive)
    }
}

@Test func `a refusal is told in the proxy's words, and the connection ends`() throws {
    let registering = try Registering()
    try registering.receive(RegistrationResponse(status: "The port is taken.").encoded())
    guard case .refused("The port is taken.") = registering.failure else {
        Issue.record("\(String(describing: registering.result))")
        return
    }
    #expect(!registering.channel.isActive)
}

@Test func `a proxy that knows no attributes is recognised, silent or not`() throws {
    let silent = try Registering()
    try silent.receive(RegistrationResponse(status: "OK").encoded())
    #expect(silent.result == nil)
    silent.channel.embeddedEventLoop.advanceTime(by: .seconds(2))
    guard case .attributesUnknown = silent.failure else {
        Issue.record("\(String(describing: silent.result))")
        return
    }

    let quick = try Registering()
    try quick.receive(RegistrationResponse(status: "OK").encoded() + FrameHeader.ping(1).bytes)
    guard case .attributesUnknown = quick.failure else {
        Issue.record("\(String(describing: quick.result))")
        return
    }

    let without = try Registering(hasAttributes: false)
    try without.receive(RegistrationResponse(status: "OK").encoded())
    #expect(try without.result?.get().attributes == [:])
}

@Test func `what is no proxy, says nothing or goes away is told apart`() throws {
    for (text, expected) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP"),
        (
            "SSH-2.0-OpenSSH_9.2\r\n",
            "The status is announced with 6004222087167619117 bytes, but 0 to 4096 are allowed"
        ),
    ] {
        let other = try Registering()
        for byte in text.utf8 { try other.receive([byte]) }
        guard case .notUnderstood(expected) = other.failure else {
            Issue.record("\(String(describing: other.result))")
            return
        }
    }

    let silent = try Registering()
    silent.channel.embeddedEventLoop.advanceTime(by: .seconds(11))
    guard case .broken("it does not answer", nil) = silent.failure else {
        Issue.record("\(String(describing: silent.result))")
        return
    }

    let gone = try Registering()
    gone.channel.close(promise: nil)
    gone.channel.embeddedEventLoop.run()
    guard case .closed = gone.failure else {
        Issue.record("\(String(describing: gone.result))")
        return
    }
}

@Test func `what a proxy says cannot write over a terminal`() {
    #expect(SocketMasterError.refused("a\u{1B}[2J\nb\u{9B}c \u{7F}é").description.hasSuffix(": a [2J b c  é"))
    #expect(SocketMasterError.refused("").description.hasSuffix(": it gives no reason."))
}

@Test func `each registration tells which process it is of, unless the application says so itself`() {
    let own = attributes { _ in }["instance"]
    #expect(own?.count == 32 && own?.allSatisfy { "0123456789abcdef".contains($0) } == true)
    #expect(attributes { _ in }["instance"] == own && attributes { $0.instance = "mine" }["instance"] == "mine")
}

@Test func `what a configuration asks for has one place, and what the library does not know goes along`() {
    let asked = attributes {
        $0.name = "web"
        $0.marksLoops = true
        $0.attributes = ["new": "1", "name": "other", "instance": "other"]
    }
    #expect(asked["name"] == "web" && asked["loop-marks"] == "true" && asked["reuse-streams"] == "true")
    #expect(asked["new"] == "1" && asked["instance"] != "other" && asked.count == 5)
    // Whoever could ask for these besides would get what the library does not expect.
    let known = Dictionary(uniqueKeysWithValues: RegistrationAttribute.known.map { ($0, "true") })
    for http in [SocketMaster.SocketDefinition.HTTP(), nil] {
        let plain = attributes(http: http) { _ in }
        #expect(attributes(http: http) { $0.attributes = known } == plain)
    }
    // Only requests come back, and only they can share a stream.
    #expect(attributes(http: nil) { $0.marksLoops = true }.keys.sorted() == ["instance"])
}

private func attributes(
    http: SocketMaster.SocketDefinition.HTTP? = .init(), _ configure: (inout SocketMasterConfiguration) -> Void
) -> [String: String] {
    var configuration = SocketMasterConfiguration()
    configure(&configuration)
    let log = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    let definition = SocketMaster.SocketDefinition(port: 80, http: http)
    return Registrar(address: .standard, definition: definition, configuration: configuration, log: log)
        .wholeDefinition.attributes ?? [:]
}
