import CTLSClient
import TLS
import Testing

/// Tickets of 1.3 come with the first bytes of the service.
private func takeTicket(_ client: TestClient, of table: IdentityTable) {
    let connection = TestServer(table).begin()
    #expect(shake(client, connection) == .done)
    connection.write([1])
    client.take(connection.give())
    #expect(client.read().bytes == [1])
}

/// One after the other: the keys of tickets are the process's, and one of the tests changes them.
@Suite(.serialized) struct TicketTests {
    @Test func `sessions resume on any reactor, and not under another certificate`() throws {
        let pem = PEM(alternatives: "DNS:a.example")
        let table = IdentityTable([try pem.identity()])
        for version: UInt16 in [0x0303, 0x0304] {
            let wish = Wish(name: "a.example", oldest: version, newest: version)
            let first = TestClient(wish)
            takeTicket(first, of: table)
            let second = TestClient(wish)
            #expect(second.resume(first))
            let elsewhere = TestServer(table)
            let connection = elsewhere.begin()
            #expect(shake(second, connection) == .done)
            #expect(second.isResumed)
            #expect(elsewhere.engine.facts(connection.state).isResumed)
            let renewed = TestServer(IdentityTable([try PEM(alternatives: "DNS:a.example").identity()]))
            let third = TestClient(wish)
            #expect(third.resume(first))
            #expect(shake(third, renewed.begin()) == .done)
            #expect(!third.isResumed)
        }
    }

    @Test func `a ticket outlives two changes of keys and no more`() throws {
        let table = IdentityTable([try PEM(alternatives: "DNS:a.example").identity()])
        let first = TestClient()
        takeTicket(first, of: table)
        for rotation in 1...4 {
            #expect(TLSEnvironment.rotateTicketKeys())
            let next = TestClient()
            #expect(next.resume(first))
            #expect(shake(next, TestServer(table).begin()) == .done)
            #expect(next.isResumed == (rotation <= 2), "after \(rotation)")
        }
    }

    /// A ticket that is not as it was sealed is none: the handshake becomes a full one.
    @Test func `forged tickets resume nothing and break nothing`() throws {
        let table = IdentityTable([try PEM(alternatives: "DNS:a.example").identity()])
        let server = TestServer(table)
        for version: UInt16 in [0x0303, 0x0304] {
            let wish = Wish(name: "a.example", oldest: version, newest: version)
            let first = TestClient(wish)
            takeTicket(first, of: table)
            let count = first.spoilTicket(at: .max)
            #expect(count > 40)
            for place in 0..<count {
                first.spoilTicket(at: place)
                let next = TestClient(wish)
                #expect(next.resume(first))
                let connection = server.begin()
                #expect(shake(next, connection) == .done, "byte \(place)")
                #expect(!next.isResumed)
                #expect(!server.engine.facts(connection.state).isResumed)
                // It is what it was again.
                first.spoilTicket(at: place)
            }
            let last = TestClient(wish)
            #expect(last.resume(first))
            #expect(shake(last, server.begin()) == .done)
            #expect(last.isResumed)
        }
    }

    /// Whoever records early data can send it again, so nobody gets it: it is skipped, and what follows counts.
    @Test func `early data is nobody's, and the connection goes on`() throws {
        let table = IdentityTable([try PEM(alternatives: "DNS:a.example").identity()])
        let server = TestServer(table)
        let first = TestClient()
        takeTicket(first, of: table)
        for count in [1, 1000, 16_000] {
            let next = TestClient()
            #expect(next.resumeEarly(first, Array(repeating: 69, count: count)))
            let connection = server.begin()
            #expect(shake(next, connection) == .done, "\(count) bytes")
            #expect(next.isResumed)
            #expect(next.write([1, 2]) == .done)
            connection.take(next.give())
            #expect(connection.received == [1, 2])
        }
        // Without an end: no server has to skip for ever.
        let flood = TestClient()
        #expect(flood.resumeEarly(first, Array(repeating: 69, count: 100_000)))
        let connection = server.begin()
        shake(flood, connection)
        #expect(connection.failure == .broken)
        #expect(connection.received == [])
    }
}
