import CTLSClient
import Memory
import TLS

/// Started once for all tests: they all begin here.
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

    /// `issuer`: who signs it, an authority; nil: it signs itself.
    init(
        _ kind: tc_kind = TC_P256, name: String? = nil, alternatives: String? = nil, begins: Int64 = -3600,
        ends: Int64 = 86400, form: tc_key_form = TC_PKCS8, isAuthority: Bool = false, isSHA1: Bool = false,
        issuer: PEM? = nil
    ) {
        precondition(TestTLS.isStarted)
        var certificate = [CChar](repeating: 0, count: 8192)
        var key = [CChar](repeating: 0, count: 8192)
        let isMade = unsafe withTexts([name, alternatives, issuer?.chain, issuer?.key]) { texts in
            var order = unsafe tc_order(
                kind: kind, common_name: texts[0], alternatives: texts[1], begins_in: begins, ends_in: ends,
                form: form, is_authority: isAuthority, is_sha1: isSHA1, issuer: texts[2], issuer_key: texts[3])
            return unsafe tc_certificate(&order, &certificate, certificate.count, &key, key.count)
        }
        precondition(isMade)
        self.chain = Self.text(certificate)
        self.key = Self.text(key)
    }

    func identity() throws -> Identity { try Identity(chain: Array(chain.utf8), key: Array(key.utf8)) }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Texts as C wants them, for the time of a call.
func withTexts<Result>(_ texts: [String?], _ body: ([UnsafePointer<CChar>?]) throws -> Result) rethrows -> Result {
    var pointers: [UnsafePointer<CChar>?] = unsafe []
    func withRest(_ rest: ArraySlice<String?>) throws -> Result {
        guard let first = rest.first else { return try unsafe body(pointers) }
        guard let text = first else {
            unsafe pointers.append(nil)
            return try withRest(rest.dropFirst())
        }
        return try unsafe text.withCString { pointer in
            unsafe pointers.append(pointer)
            return try withRest(rest.dropFirst())
        }
    }
    return try withRest(texts[...])
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
    /// PEM: the server's chain has to end here; nil: any certificate will do.
    var root: String?
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
        let protocols = wish.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
        let wanted = [wish.name, wish.suites12, wish.suites13, wish.groups, wish.schemes, wish.root]
        let client = unsafe withTexts(wanted) { texts in
            unsafe protocols.withUnsafeBufferPointer { protocols in
                var raw = unsafe tc_wish(
                    name: texts[0], suites12: texts[1], suites13: texts[2], groups: texts[3], schemes: texts[4],
                    protocols: protocols.baseAddress, protocol_count: protocols.count, root: texts[5],
                    oldest: wish.oldest, newest: wish.newest)
                return unsafe tc_client_make(&raw)
            }
        }
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
    func resumeEarly(_ former: TestClient, _ bytes: [UInt8]) -> Bool {
        unsafe tc_client_resume_early(raw, former.raw, bytes, bytes.count)
    }
    /// Changes one byte of the ticket; how many there are.
    @discardableResult
    func spoilTicket(at place: Int) -> Int { unsafe tc_client_spoil_ticket(raw, place) }
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
