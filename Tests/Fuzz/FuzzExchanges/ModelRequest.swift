/// A request that a client makes, and what must hold for it.
struct ModelRequest {
    enum Kind: Int, CaseIterable {
        case get, head, post, put, chunkedPost, trailers, upgrade, connect, old, expecting, closing, delete, broken
    }

    let id: Int
    let kind: Kind
    /// All of it, body included, as the client writes it.
    let text: [UInt8]

    init(id: Int, _ choices: inout Choices) {
        self.id = id
        kind = Kind.allCases[choices.number(below: Kind.allCases.count)]
        let count = [1, 7, 300, 5_000][choices.number(below: 4)]
        let body = (0..<count).map { UInt8(97 + ($0 + id) % 26) }
        var text = Array("\(Self.method(of: kind)) \(kind == .connect ? "a:1" : "/\(id)") ".utf8)
        text += Array(
            "HTTP/1.\(kind == .old ? 0 : 1)\r\nHost: a\r\nX-Id: \(id)\r\n\(Self.fields(of: kind, count))\r\n".utf8)
        switch kind {
        case .post, .put, .expecting: text += body
        case .chunkedPost, .trailers:
            let half = count / 2
            if half > 0 { text += Self.chunk(body[..<half]) }
            text += Self.chunk(body[half...]) + Array("0\r\n".utf8)
            if kind == .trailers { text += Array("X-Sum: 1\r\n".utf8) }
            text += Array("\r\n".utf8)
        case .broken: text += Self.chunk(body[...]) + Array("zz\r\n".utf8)
        case .get, .head, .upgrade, .connect, .old, .closing, .delete: break
        }
        self.text = text
    }

    var isIdempotent: Bool {
        switch kind {
        case .get, .head, .put, .upgrade, .old, .closing, .delete, .trailers: true
        case .post, .chunkedPost, .connect, .expecting, .broken: false
        }
    }

    var opensTunnel: Bool { kind == .upgrade || kind == .connect }

    private static func method(of kind: Kind) -> String {
        switch kind {
        case .get, .upgrade, .old, .closing: "GET"
        case .head: "HEAD"
        case .post, .chunkedPost, .expecting, .broken: "POST"
        case .put, .trailers: "PUT"
        case .connect: "CONNECT"
        case .delete: "DELETE"
        }
    }

    private static func fields(of kind: Kind, _ count: Int) -> String {
        switch kind {
        case .get, .head, .connect, .old, .delete: ""
        case .post, .put: "Content-Length: \(count)\r\n"
        case .expecting: "Content-Length: \(count)\r\nExpect: 100-continue\r\n"
        case .chunkedPost, .trailers, .broken: "Transfer-Encoding: chunked\r\n"
        case .upgrade: "Connection: upgrade\r\nUpgrade: x\r\n"
        case .closing: "Connection: close\r\n"
        }
    }

    static func chunk(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        Array((String(bytes.count, radix: 16) + "\r\n").utf8) + bytes + Array("\r\n".utf8)
    }
}
