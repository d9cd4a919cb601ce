import CTLSClient
import TLS
import Testing

private func server(_ pems: PEM...) throws -> TestServer {
    TestServer(IdentityTable(try pems.map { try $0.identity() }))
}

@Test func `clients of 1.2 and 1.3 get what they can, older ones nothing`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    for version: UInt16 in [0x0303, 0x0304] {
        let client = TestClient(Wish(name: "a.example", oldest: version, newest: version))
        let connection = server.begin()
        #expect(shake(client, connection) == .done)
        #expect(client.version == version)
        #expect(server.engine.facts(connection.state).version == version)
    }
    let old = TestClient(Wish(name: "a.example", suites12: "ALL:@SECLEVEL=0", oldest: 0x0302, newest: 0x0302))
    let connection = server.begin()
    // protocol_version, RFC 8446 6.2
    #expect(shake(old, connection) == .failed(1070))
    #expect(connection.failure == .version)
}

@Test func `bytes go both ways, in records of any size`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    let client = TestClient()
    let connection = server.begin()
    #expect(shake(client, connection) == .done)
    for size in [1, 100, 4096, 16384, 16385, 300_000] {
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) }
        #expect(client.write(bytes) == .done)
        let before = connection.received.count
        connection.take(client.give())
        #expect(Array(connection.received[before...]) == bytes)
        connection.write(bytes)
        client.take(connection.give())
        #expect(client.read().bytes == bytes)
    }
}

@Test func `a handshake and what follows may come in pieces of any size`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    for (version, piece) in [(0x0303, 1), (0x0304, 1), (0x0304, 2), (0x0304, 5), (0x0304, 63)] as [(UInt16, Int)] {
        server.pieceBytes = piece
        let client = TestClient(Wish(name: "a.example", oldest: version, newest: version))
        let connection = server.begin()
        #expect(shake(client, connection) == .done)
        #expect(client.write(Array(repeating: 9, count: 5000)) == .done)
        connection.take(client.give())
        #expect(connection.received == Array(repeating: 9, count: 5000))
    }
}

@Test func `what comes with the end of the handshake is not lost`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    let client = TestClient()
    let connection = server.begin()
    _ = client.shake()
    connection.take(client.give())
    client.take(connection.give())
    #expect(client.shake() == .done)
    #expect(client.write(Array("GET / HTTP/1.1\r\n\r\n".utf8)) == .done)
    connection.take(client.give())
    #expect(String(decoding: connection.received, as: UTF8.self) == "GET / HTTP/1.1\r\n\r\n")
}

@Test func `http 1.1 is the only protocol of HTTP routes, and raw ones have none`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    let both = TestClient(Wish(protocols: ["h2", "http/1.1"]))
    #expect(shake(both, server.begin()) == .done)
    #expect(both.chosenProtocol == "http/1.1")
    let none = TestClient()
    #expect(shake(none, server.begin()) == .done)
    #expect(none.chosenProtocol == "")
    let other = TestClient(Wish(protocols: ["h2", "spdy/3"]))
    let connection = server.begin()
    // no_application_protocol, RFC 7301 3.2
    #expect(shake(other, connection) == .failed(1120))
    #expect(connection.failure == .applicationProtocol)
    server.isHTTP = false
    let raw = TestClient(Wish(protocols: ["h2"]))
    #expect(shake(raw, server.begin()) == .done)
    #expect(raw.chosenProtocol == "")
}

@Test func `close_notify goes both ways, and what is behind it can still be said`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    for version: UInt16 in [0x0303, 0x0304] {
        let client = TestClient(Wish(oldest: version, newest: version))
        let connection = server.begin()
        #expect(shake(client, connection) == .done)
        #expect(client.write([1, 2, 3]) == .done)
        #expect(client.finish() == .done)
        connection.take(client.give())
        #expect(connection.received == [1, 2, 3])
        #expect(connection.last == .ended)
        connection.write([4, 5])
        connection.finish()
        client.take(connection.give())
        let read = client.read()
        #expect(read.bytes == [4, 5])
        #expect(read.outcome == .ended)
    }
}

@Test func `the proxy may finish first and still be told more`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    let client = TestClient(Wish(oldest: 0x0304))
    let connection = server.begin()
    #expect(shake(client, connection) == .done)
    connection.finish()
    client.take(connection.give())
    #expect(client.read().outcome == .ended)
    #expect(client.write([7]) == .done)
    connection.take(client.give())
    #expect(connection.received == [7])
}

@Test func `a connection goes on under another reactor`() throws {
    let table = IdentityTable([try PEM(alternatives: "DNS:a.example").identity()])
    let here = TestServer(table)
    let there = TestServer(table)
    let client = TestClient()
    let connection = here.begin()
    #expect(shake(client, connection) == .done)
    connection.move(to: there)
    #expect(client.write([1, 2]) == .done)
    connection.take(client.give())
    #expect(connection.received == [1, 2])
    connection.write([3])
    client.take(connection.give())
    #expect(client.read().bytes == [3])
}

@Test func `clients may change their keys`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    let client = TestClient(Wish(oldest: 0x0304))
    let connection = server.begin()
    #expect(shake(client, connection) == .done)
    _ = client.read()
    #expect(client.updateKeys())
    #expect(client.write([1]) == .done)
    connection.take(client.give())
    connection.write([2])
    client.take(connection.give())
    #expect(connection.received == [1])
    #expect(client.read().bytes == [2])
}

@Test func `what is no TLS is said to be none`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    let http = server.begin()
    http.take(Array("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".utf8))
    #expect(http.failure == .http)
    let other = server.begin()
    other.take(Array("SSH-2.0-something\r\n".utf8))
    #expect(other.failure == .notTLS)
}

@Test func `a full pool fails one connection and no other`() throws {
    let table = IdentityTable([try PEM(alternatives: "DNS:a.example").identity()])
    let server = TestServer(table, blocks: 4)
    let client = TestClient()
    let connection = server.begin()
    #expect(shake(client, connection) == .done)
    connection.write(Array(repeating: 1, count: 100_000))
    #expect(connection.failure == .output)
    _ = connection.give()
    let next = TestClient()
    #expect(shake(next, server.begin()) == .done)
}

/// A hello cut, changed at one place, or made of noise: a value each time, and the next client is served.
@Test func `broken hellos break nothing`() throws {
    let server = try server(PEM(alternatives: "DNS:a.example"))
    let client = TestClient(Wish(name: "a.example"))
    _ = client.shake()
    let hello = client.give()
    var random = SystemRandomNumberGenerator()
    for place in 0..<hello.count {
        var broken = hello
        broken[place] ^= UInt8.random(in: 1...255, using: &random)
        let connection = server.begin()
        connection.take(broken)
        connection.take(Array(repeating: 0, count: 20))
        _ = connection.give()
    }
    for _ in 0..<200 {
        let connection = server.begin()
        connection.take((0..<Int.random(in: 1...600)).map { _ in UInt8.random(in: 0...255) })
    }
    #expect(shake(TestClient(Wish(name: "a.example")), server.begin()) == .done)
}
