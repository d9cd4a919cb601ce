import CTLSClient
import Memory
import TLS

/// Started once for all tests, before any of them can use OpenSSL: they all begin here.
enum TestTLS {
    static let isStarted: Bool = {
        do {
            try TLSEnvironment.start(minimum: .v12)
            return true
        } catch {
            return false
        }
    }()
}

/// A certificate and its key as a service sends them.
struct PEM {
    var chain: String
    var key: String

    init(
        _ kind: tc_kind = TC_P256, name: String? = nil, alternatives: String? = nil, begins: Int64 = -3600,
        ends: Int64 = 86400, form: tc_key_form = TC_PKCS8
    ) {
        precondition(TestTLS.isStarted)
        var certificate = [CChar](repeating: 0, count: 8192)
        var key = [CChar](repeating: 0, count: 8192)
        let isMade = unsafe Self.withText(name) { name in
            unsafe Self.withText(alternatives) { alternatives in
                var order = unsafe tc_order(
                    kind: kind, common_name: name, alternatives: alternatives, begins_in: begins, ends_in: ends,
                    form: form)
                return unsafe tc_certificate(&order, &certificate, certificate.count, &key, key.count)
            }
        }
        precondition(isMade)
        self.chain = Self.text(certificate)
        self.key = Self.text(key)
    }

    func identity() throws -> Identity { try Identity(chain: Array(chain.utf8), key: Array(key.utf8)) }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func withText<Result>(
        _ text: String?, _ body: (UnsafePointer<CChar>?) throws -> Result
    ) rethrows -> Result {
        guard let text else { return try body(nil) }
        return try unsafe text.withCString { try unsafe body($0) }
    }
}

/// What a client wants; nil is OpenSSL's own.
struct Wish {
    var name: String?
    var suites12: String?
    var suites13: String?
    var groups: String?
    var schemes: String?
    var protocols: [String] = []
    var oldest: UInt16 = 0
    var newest: UInt16 = 0
}

enum ClientOutcome: Equatable {
    case done
    case more
    case ended
    case failed(Int)
}

@safe
final class TestClient {
    let raw: OpaquePointer

    init(_ wish: Wish = Wish()) {
        precondition(TestTLS.isStarted)
        var texts: [[CChar]?] = []
        for text in [wish.name, wish.suites12, wish.suites13, wish.groups, wish.schemes] {
            texts.append(text.map { Array($0.utf8CString) })
        }
        let protocols = wish.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        func pointer(_ place: Int) -> UnsafePointer<CChar>? {
            guard let text = texts[place] else { return nil }
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: text.count)
            unsafe copy.initialize(from: text, count: text.count)
            return unsafe UnsafePointer(copy)
        }
        let pointers = unsafe (0..<5).map { unsafe pointer($0) }
        let client = unsafe protocols.withUnsafeBufferPointer { protocols in
            var raw = unsafe tc_wish(
                name: pointers[0], suites12: pointers[1], suites13: pointers[2], groups: pointers[3],
                schemes: pointers[4], protocols: protocols.baseAddress, protocol_count: protocols.count,
                oldest: wish.oldest, newest: wish.newest)
            return unsafe tc_client_make(&raw)
        }
        for place in 0..<5 { unsafe pointers[place]?.deallocate() }
        guard let client = unsafe client else { preconditionFailure("no client for \(wish)") }
        unsafe raw = client
    }

    deinit { unsafe tc_client_free(raw) }

    func take(_ bytes: [UInt8]) { unsafe tc_client_take(raw, bytes, bytes.count) }

    func give() -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = unsafe tc_client_give(raw, &piece, piece.count)
            guard count > 0 else { return bytes }
            bytes += piece[..<count]
        }
    }

    func shake() -> ClientOutcome { outcome(unsafe tc_client_shake(raw)) }
    func write(_ bytes: [UInt8]) -> ClientOutcome { outcome(unsafe tc_client_write(raw, bytes, bytes.count)) }
    func finish() -> ClientOutcome { outcome(unsafe tc_client_finish(raw)) }
    func updateKeys() -> Bool { unsafe tc_client_update_keys(raw) }
    func resume(_ former: TestClient) -> Bool { unsafe tc_client_resume(raw, former.raw) }
    var isResumed: Bool { unsafe tc_client_resumed(raw) }
    var version: UInt16 { unsafe tc_client_version(raw) }

    /// All there is, and what came after it.
    func read() -> (bytes: [UInt8], outcome: ClientOutcome) {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16384)
        while true {
            var count = 0
            let result = outcome(unsafe tc_client_read(raw, &piece, piece.count, &count))
            bytes += piece[..<count]
            if result != .done { return (bytes, result) }
        }
    }

    var chosenProtocol: String {
        var bytes = [UInt8](repeating: 0, count: 255)
        let count = unsafe tc_client_protocol(raw, &bytes, bytes.count)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    var fingerprint: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        return unsafe tc_client_fingerprint(raw, &bytes) ? bytes : []
    }

    private func outcome(_ raw: tc_outcome) -> ClientOutcome {
        switch raw {
        case TC_DONE: .done
        case TC_MORE: .more
        case TC_ENDED: .ended
        default: .failed(Int(unsafe tc_client_reason(self.raw)))
        }
    }
}

/// A reactor's side of connections.
final class TestServer {
    let pool: BlockPool
    let engine: TLSEngine
    let table: IdentityTable
    var isHTTP = true
    /// At most so many bytes are given to the engine at once.
    var pieceBytes = Int.max

    init(_ table: IdentityTable, blocks: Int = 4096) {
        precondition(TestTLS.isStarted)
        pool = BlockPool(capacity: blocks)
        engine = TLSEngine(pool: pool)
        self.table = table
    }

    func begin() -> TestConnection { TestConnection(engine.begin(), on: self) }
}

/// One connection, driven as the data plane does it.
final class TestConnection {
    private(set) var server: TestServer
    let state: TLSState
    var output = Chain()
    private(set) var received: [UInt8] = []
    private(set) var last = TLSOutcome.more
    private(set) var failure: TLSFailure?
    private(set) var alert: UInt8 = 0
    private var isFreed = false

    init(_ state: TLSState, on server: TestServer) {
        self.state = state
        self.server = server
    }

    deinit {
        if !isFreed { server.engine.free(state) }
        server.pool.clear(&output)
    }

    func move(to other: TestServer) {
        server.pool.clear(&output)
        server = other
        other.engine.adopt(state)
    }

    func take(_ bytes: [UInt8]) {
        var start = 0
        while start < bytes.count, failure == nil {
            let end = min(bytes.count, start + min(server.pieceBytes, bytes.count))
            takePiece(Array(bytes[start..<end]))
            start = end
        }
    }

    private func takePiece(_ bytes: [UInt8]) {
        unsafe bytes.withUnsafeBytes { bytes in
            var input = unsafe bytes
            while failure == nil {
                let isShaking = server.engine.isShaking(state)
                let result =
                    isShaking
                    ? unsafe server.engine.shake(
                        state, input: &input, table: server.table.reference, isHTTP: server.isHTTP, output: &output)
                    : unsafe server.engine.read(state, input: &input, output: &output)
                note(result)
                if case .done = result.outcome {
                    if !isShaking { unsafe received += Array(server.engine.bytes(of: result)) }
                    continue
                }
                return
            }
        }
    }

    func write(_ bytes: [UInt8]) {
        note(unsafe bytes.withUnsafeBytes { unsafe server.engine.write(state, $0, output: &output) })
    }

    func finish() { note(server.engine.finish(state, output: &output)) }

    private func note(_ result: TLSResult) {
        last = result.outcome
        guard case .failed = result.outcome else { return }
        failure = result.failure
        alert = result.alert
    }

    /// What is to be sent to the client.
    func give() -> [UInt8] {
        var bytes: [UInt8] = []
        while !output.isEmpty {
            let front = unsafe server.pool.front(of: output)
            unsafe bytes += Array(front)
            server.pool.drop(front.count, from: &output)
        }
        return bytes
    }
}

/// Runs a handshake to its end, or to where one of the two gives up.
@discardableResult
func shake(_ client: TestClient, _ connection: TestConnection) -> ClientOutcome {
    var outcome = ClientOutcome.more
    for _ in 0..<20 {
        outcome = client.shake()
        let toServer = client.give()
        connection.take(toServer)
        let toClient = connection.give()
        client.take(toClient)
        if toServer.isEmpty, toClient.isEmpty { break }
    }
    return outcome
}
