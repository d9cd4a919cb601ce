import NIOCore
import NIOEmbedded
import Testing
import TestSupport
import Yamux

@testable import SocketMaster

/// Many streams at once, every frame at any time and cut anywhere: whatever was said arrives whole and in order, at the
/// other end, and `TestProxy` sees to it that no rule of the protocol is broken.
@Test func `echoes are exact, however the bytes are cut and the streams are mixed`() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<20 {
        // Half of them see the ids go round.
        let last = UInt32.random(in: 0..<12, using: &random)
        var model = try EchoModel(firstID: Bool.random(using: &random) ? .max - 2 * last : 1)
        while try model.step(&random) {}
        model.check(seed: seed)
    }
}

private struct EchoModel {
    struct Client {
        var said: [UInt8] = []
        var left: Int
        var isFinished = false
        var isReset = false
    }

    let fixture: Fixture
    var clients: [UInt32: Client] = [:]
    var unopened = 12

    init(firstID: UInt32) throws {
        fixture = try Fixture()
        fixture.proxy.nextID = firstID
        fixture.proxy.isGenerous = false
        fixture.acceptor.prepare = { stream, recorder in
            recorder.echoes = true
            try stream.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        }
    }

    /// - Returns: whether there is anything left to do.
    mutating func step(_ random: inout SeededGenerator) throws -> Bool {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...8, using: &random) { bytes += act(&random) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = Bool.random(using: &random) ? rest.count : Int.random(in: 1...rest.count, using: &random)
            fixture.deliver(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
            if Bool.random(using: &random) { fixture.loop.run() }
        }
        fixture.exchange()
        for (id, client) in clients where !client.isReset {
            // The client reads what it has got.
            let received = Int(fixture.proxy.streams[id]!.state.bytesBuffered)
            if received > 0, Bool.random(using: &random) {
                fixture.send(fixture.proxy.credit(id, UInt32(Int.random(in: 1...received, using: &random))))
            }
        }
        let isBusy = clients.contains { id, client in
            !client.isReset && !(fixture.proxy.streams[id]!.isFinished && client.isFinished)
        }
        return unopened > 0 || isBusy
    }

    private mutating func act(_ random: inout SeededGenerator) -> [UInt8] {
        if unopened > 0, clients.isEmpty || Int.random(in: 0..<4, using: &random) == 0 {
            unopened -= 1
            let id = fixture.proxy.nextID
            clients[id] = Client(left: Int.random(in: 0...700_000, using: &random))
            return fixture.proxy.open()
        }
        guard let id = clients.keys.sorted().randomElement(using: &random), var client = clients[id],
            !client.isFinished, !client.isReset
        else { return [] }
        defer { clients[id] = client }
        if Int.random(in: 0..<300, using: &random) == 0 {
            client.isReset = true
            return fixture.proxy.reset(id)
        }
        if client.left == 0 {
            client.isFinished = true
            return fixture.proxy.finish(id)
        }
        let most = min(client.left, fixture.proxy.window(id), 1 << Int.random(in: 0...18, using: &random))
        guard most > 0 else { return [] }
        let bytes = pattern(Int.random(in: 1...most, using: &random), seed: UInt8.random(in: 0...255, using: &random))
        client.said += bytes
        client.left -= bytes.count
        return fixture.proxy.data(id, bytes)
    }

    func check(seed: UInt64) {
        for (id, client) in clients where !client.isReset {
            #expect(fixture.proxy.streams[id]?.received == client.said, "stream \(id), seed \(seed)")
        }
        #expect(fixture.handler.streams.isEmpty && fixture.handler.extraWindow == 0, "seed \(seed)")
        #expect(fixture.events.isEmpty, "seed \(seed)")
        #expect(fixture.acceptor.accepted.allSatisfy { $0.recorder.events.last == "inactive" }, "seed \(seed)")
    }
}
