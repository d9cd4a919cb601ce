import Registration
import Testing

@testable import Control

/// A whole proxy in the test's process: registration, publication to real reactors, and back.
@Suite(.serialized)
struct LiveTests {
    private func raw(port: Int, attributes: [String: String]? = [:]) -> SocketDefinition {
        SocketDefinition(address: "127.0.0.1", port: port, attributes: attributes)
    }

    @Test func aServiceRegistersServesAndReturns() throws {
        let proxy = try LiveProxy()
        let (first, response) = proxy.register(raw(port: 0))
        #expect(response?.isAccepted == true)
        #expect(response?.attributes?["reactors"] == "2")
        let port = UInt16(response?.attributes?["port"] ?? "") ?? 0
        try #require(port > 0)
        exchange("hello", "world", port: port, service: first)

        // It goes; a client comes meanwhile and waits; the next one serves it.
        first.finish()
        _ = first.read(1 << 20)
        let client = LiveSocket(port: port)
        client.send(Array("anybody?".utf8))
        let (second, again) = proxy.register(raw(port: Int(port), attributes: nil))
        #expect(again == RegistrationResponse(status: "OK"))
        second.serve("anybody?", with: "back")
        #expect(client.read(5) == Array("back".utf8))
        client.finish()
        #expect(proxy.stop() == 0)
    }

    private func exchange(_ question: String, _ answer: String, port: UInt16, service: LiveSocket) {
        let client = LiveSocket(port: port)
        client.send(Array(question.utf8))
        service.serve(question, with: answer)
        #expect(client.read(answer.utf8.count + 1) == Array(answer.utf8))
    }

    /// The proxy must not lose what comes in one segment with the registration.
    @Test func framesBehindARegistrationBelongToItsSession() throws {
        let proxy = try LiveProxy()
        let socket = proxy.dial()
        let ping: [UInt8] = [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0x12, 0x34]
        socket.send(raw(port: 0, attributes: nil).encoded() + ping)
        #expect(socket.readResponse(expectsAttributes: false)?.isAccepted == true)
        #expect(socket.read(12) == [0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0x12, 0x34])
        #expect(proxy.stop() == 0)
    }

    @Test func whatCannotBeIsRefusedWithASentence() throws {
        let proxy = try LiveProxy()
        let (holder, response) = proxy.register(raw(port: 0))
        let port = try #require(Int(response?.attributes?["port"] ?? ""), "\(String(describing: response))")
        for definition in [
            SocketDefinition(address: "", port: port), SocketDefinition(address: "nowhere.example", port: port),
            SocketDefinition(address: "203.0.113.5", port: port),
            SocketDefinition(port: port, tls: .init(certificate: [1], key: [2])),
            SocketDefinition(address: "127.0.0.1", port: Int(proxy.controlPort)),
        ] {
            let (socket, response) = proxy.register(definition)
            let status = try #require(response?.status)
            #expect(status.hasSuffix(".") && status.contains(" "), "\(status)")
            // And then nothing but the end.
            #expect(socket.read(1).isEmpty)
        }
        withExtendedLifetime(holder) {}
        #expect(proxy.stop() == 0)
    }

    /// A listener that is being closed is waited for: no registration is refused because another one has just ended.
    @Test func aPortThatIsBeingClosedIsOpenedAgain() throws {
        let proxy = try LiveProxy { $0.hold = TimeSpan(milliseconds: 0) }
        var port = 0
        for round in 0..<50 {
            let (socket, response) = proxy.register(raw(port: port))
            #expect(response?.status == "OK", "round \(round)")
            port = Int(response?.attributes?["port"] ?? "") ?? 0
            exchange("\(round)", "round", port: UInt16(port), service: socket)
            // Its session is over, so that no client is given to it any more; its listener is not, as a rule.
            socket.finish()
            _ = socket.read(1 << 16)
        }
        #expect(proxy.stop() == 0)
    }

    @Test func silentConnectionsMakeRoomForServices() throws {
        let proxy = try LiveProxy { $0.maximumPending = 4 }
        let silent = (0..<10).map { _ in proxy.dial() }
        let (service, response) = proxy.register(raw(port: 0))
        #expect(response?.isAccepted == true)
        // The first one was told so.
        #expect(silent[0].readResponse(expectsAttributes: false)?.status.contains("Too many") == true)
        withExtendedLifetime(service) {}
        #expect(proxy.stop() == 0)
    }

    @Test func equalRegistrationsThatComeTogetherAllServe() throws {
        let proxy = try LiveProxy()
        let (first, response) = proxy.register(raw(port: 0))
        let port = Int(response?.attributes?["port"] ?? "") ?? 0
        let sockets = (0..<30).map { _ in proxy.dial() }
        for socket in sockets { socket.send(raw(port: port, attributes: nil).encoded()) }
        for socket in sockets { #expect(socket.readResponse(expectsAttributes: false)?.isAccepted == true) }
        withExtendedLifetime(first) {}
        #expect(proxy.stop() == 0)
    }

    @Test func sessionsAreBounded() throws {
        let proxy = try LiveProxy { $0.maximumSessions = 2 }
        let services = (0..<2).map { _ in proxy.register(raw(port: 0)) }
        #expect(services.allSatisfy { $0.1?.isAccepted == true })
        #expect(proxy.register(raw(port: 0)).1?.status.contains("--max-sessions") == true)
        #expect(proxy.stop() == 0)
    }
}
