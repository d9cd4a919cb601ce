import NIOCore
import Testing

@testable import SocketMaster

private let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A] + Array("QUIT\n".utf8)
private let ipv4: [UInt8] = signature + [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xBB]
private let ipv6: [UInt8] =
    signature + [0x21, 0x21, 0, 36] + [0x20, 1, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]
    + [UInt8](repeating: 0, count: 15) + [1] + [0x30, 0x39, 0x01, 0xBB]

@Test func `both families are understood, at any cut`() throws {
    for (bytes, source, destination) in [
        (ipv4, "192.0.2.1", "198.51.100.2"), (ipv6, "2001:db8::1", "::1"),
    ] {
        for count in 0..<bytes.count {
            #expect(ProxyProtocolHeader.parse(ByteBuffer(bytes: bytes[..<count])) == .needsMore)
        }
        let expected = ProxyProtocolHeader(
            byteCount: bytes.count, source: try SocketAddress(ipAddress: source, port: 12_345),
            destination: try SocketAddress(ipAddress: destination, port: 443))
        #expect(ProxyProtocolHeader.parse(ByteBuffer(bytes: bytes + [1, 2, 3])) == .header(expected))
    }
}

@Test func `a header without an address, and one with extensions, are skipped whole`() {
    let local = signature + [0x20, 0, 0, 3, 1, 2, 3]
    #expect(ProxyProtocolHeader.parse(ByteBuffer(bytes: local)) == .header(ProxyProtocolHeader(byteCount: 19)))
    var extended = ipv4 + [4, 0, 1, 9]
    extended[15] = 16
    guard case .header(let header) = ProxyProtocolHeader.parse(ByteBuffer(bytes: extended)) else {
        Issue.record("not understood")
        return
    }
    #expect(header.byteCount == 32 && header.source?.port == 12_345)
}

@Test func `what is no header is refused at its first wrong byte`() {
    for bytes: [UInt8] in [
        Array("GET ".utf8), signature + [0x11, 0x11, 0, 12], signature + [0x22, 0x11, 0, 12],
        signature + [0x21, 0x11, 0xFF, 0xFF], signature + [0x21, 0x11, 0, 2, 1, 2],
    ] {
        #expect(ProxyProtocolHeader.parse(ByteBuffer(bytes: bytes)) == .broken)
    }
}

@Test func `the client's address is the connection's, and the header is not among its bytes`() throws {
    var settings = SessionSettings()
    settings.bringsClientAddress = true
    let fixture = try Fixture(settings)
    let id = fixture.proxy.nextID
    fixture.send(fixture.proxy.open())
    fixture.send(fixture.proxy.data(id, Array(ipv4[..<20])))
    #expect(fixture.acceptor.accepted.isEmpty)
    fixture.send(fixture.proxy.data(id, Array(ipv4[20...]) + pattern(1_000)))
    let (stream, recorder) = try #require(fixture.acceptor.accepted.first)
    #expect(recorder.received == pattern(1_000))
    #expect(stream.remoteAddress == (try SocketAddress(ipAddress: "192.0.2.1", port: 12_345)))
    #expect(stream.localAddress == (try SocketAddress(ipAddress: "198.51.100.2", port: 443)))
}

/// A client could say such a header itself, and be anybody.
@Test func `a stream without the header that was agreed on is refused`() throws {
    var settings = SessionSettings()
    settings.bringsClientAddress = true
    let fixture = try Fixture(settings)
    fixture.send(fixture.proxy.open(Array("GET / HTTP/1.1".utf8)))
    #expect(fixture.acceptor.accepted.isEmpty && fixture.proxy.streams[1]?.isReset == true)
    let short = fixture.proxy.nextID
    fixture.send(fixture.proxy.open(Array(ipv4[..<10])), fixture.proxy.finish(short))
    #expect(fixture.proxy.streams[short]?.isReset == true && fixture.handler.streams.isEmpty)
}

@Test func `a header that the service did not ask for is the client's own, and nothing but bytes`() throws {
    let fixture = try Fixture()
    let (_, stream, recorder) = try fixture.open(ipv4)
    #expect(recorder.received == ipv4)
    #expect(stream.remoteAddress?.port == 9999)
}

/// Clients that come and go behind one whom the application lets wait are not kept, or they would fill the memory.
@Test func `a stream that ends with its header is forgotten, and is not kept among those that wait`() throws {
    var settings = SessionSettings()
    settings.bringsClientAddress = true
    let fixture = try Fixture(settings)
    fixture.acceptor.isWilling = false
    fixture.send(fixture.proxy.open(ipv4))
    for _ in 0..<100 {
        let id = fixture.proxy.nextID
        fixture.send(fixture.proxy.open(ipv4 + pattern(1_000)), fixture.proxy.reset(id))
    }
    #expect(fixture.handler.queued.count == 1 && fixture.handler.streams.count == 1)
    // Nor what comes with the end of the session.
    fixture.deliver(fixture.proxy.open(ipv4) + [1] + [UInt8](repeating: 0, count: 11))
    #expect(fixture.events.count == 1 && fixture.handler.queued.isEmpty)
}
