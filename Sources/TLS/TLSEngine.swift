internal import CTLS
public import Memory

/// A connection's TLS: plain data that goes where the connection goes. Whoever holds it must free it.
@frozen @safe
public struct TLSState: @unchecked Sendable, BitwiseCopyable {
    let raw: OpaquePointer?

    /// No TLS.
    @_noLocks
    public init() { unsafe raw = nil }

    @_noLocks
    init(_ raw: OpaquePointer?) { unsafe self.raw = raw }

    public var exists: Bool { @_noLocks get { unsafe raw != nil } }
}

/// A reactor's way into BoringSSL. All its connections share one BIO: what it reads and where it writes is set before
/// each call, so a connection costs no buffer while it is idle, ciphertext is read where the kernel has put it, and is
/// written straight into the blocks that will be sent.
///
/// `shake` until it is done, then `read` until it wants more, with every piece of input; `write` and `finish` at any
/// time after the handshake. After a failure what has been written is sent (an alert), and the state freed.
///
/// BoringSSL allocates; nothing else here does. Belongs to one thread.
@safe
public struct TLSEngine: ~Copyable {
    /// A record's plaintext at most (RFC 8446 §5.1): what one read brings, and what one record carries.
    public static var recordBytes: Int { @_noLocks get { 16384 } }

    private let engine: OpaquePointer
    private let io: UnsafeMutablePointer<ct_io>
    private let sink: UnsafeMutablePointer<Sink>
    private let plaintext: UnsafeMutableRawPointer
    private let gathered: UnsafeMutableRawPointer

    /// Where a call's output goes. The chain is here during the call alone.
    private struct Sink: ~Copyable {
        let pool: BlockPool
        var chain = Chain()

        init(pool: borrowing BlockPool) { self.pool = BlockPool(sameAs: pool) }
    }

    /// For connections whose output goes into blocks of the pool. After `TLSEnvironment.start`.
    public init(pool: borrowing BlockPool) {
        // Scanners read up to 64 bytes beyond what they are given.
        unsafe plaintext = Region(byteCount: Self.recordBytes + 64).base
        unsafe gathered = Region(byteCount: Self.recordBytes).base
        unsafe io = .allocate(capacity: 1)
        unsafe sink = .allocate(capacity: 1)
        unsafe io.initialize(to: ct_io())
        unsafe sink.initialize(to: Sink(pool: pool))
        unsafe io.pointee.sink = UnsafeMutableRawPointer(sink)
        unsafe io.pointee.write = { sink, bytes, count in unsafe TLSEngine.take(sink, bytes, count) }
        guard let engine = unsafe ct_engine_make(io) else { preconditionFailure("no memory for a reactor's TLS") }
        unsafe self.engine = engine
    }

    deinit {
        unsafe ct_engine_free(engine)
        unsafe io.deallocate()
        unsafe sink.deinitialize(count: 1)
        unsafe sink.deallocate()
    }

    /// For a connection about to begin. It does not exist where memory is short.
    @_noLocks
    public func begin() -> TLSState { unsafe TLSState(ct_state_make(engine)) }

    /// Takes over a connection of another reactor. Its handshake is done.
    @_noLocks
    public func adopt(_ state: TLSState) {
        guard let raw = unsafe state.raw else { return }
        unsafe ct_state_adopt(engine, raw)
    }

    @_noLocks
    public func free(_ state: TLSState) {
        guard let raw = unsafe state.raw else { return }
        unsafe ct_state_free(raw)
    }

    /// Whether the handshake is still to be done.
    @_noLocks
    public func isShaking(_ state: TLSState) -> Bool {
        guard let raw = unsafe state.raw else { return false }
        return unsafe ct_is_shaking(raw)
    }

    @_noLocks
    public func facts(_ state: TLSState) -> TLSFacts {
        guard let raw = unsafe state.raw else { return TLSFacts(version: 0, suite: 0, isResumed: false) }
        let facts = unsafe ct_state_facts(raw)
        return TLSFacts(version: facts.version, suite: facts.suite, isResumed: facts.resumed)
    }

    /// Goes on with the handshake; `input` loses what was read, and keeps what is behind the handshake. Certificates
    /// come from `table`, where the name of the client is looked for, so it is the listener's of now. `isHTTP`: the
    /// only application protocol is http/1.1; otherwise there is none.
    @_noLocks
    public func shake(
        _ state: TLSState,
        input: inout UnsafeRawBufferPointer,
        table: TLSTableReference,
        isHTTP: Bool,
        output: inout Chain
    ) -> TLSResult {
        guard let raw = unsafe state.raw else { return TLSResult(outcome: .failed) }
        unsafe io.pointee.table = table.table?.assumingMemoryBound(to: ct_table.self)
        unsafe io.pointee.selects_http = isHTTP
        unsafe setInput(input)
        moveOutput(&output)
        let result = unsafe ct_shake(engine, raw)
        moveOutput(&output)
        unsafe input = leftInput()
        unsafe io.pointee.table = nil
        return Self.result(result)
    }

    /// Decrypts the next bytes, a record's at most; `bytes(of:)` has them until the next call. `input` loses what was
    /// read.
    @_noLocks
    public func read(
        _ state: TLSState,
        input: inout UnsafeRawBufferPointer,
        output: inout Chain
    ) -> TLSResult {
        guard let raw = unsafe state.raw else { return TLSResult(outcome: .failed) }
        unsafe setInput(input)
        moveOutput(&output)
        let result = unsafe ct_read(engine, raw, plaintext, Self.recordBytes)
        moveOutput(&output)
        unsafe input = leftInput()
        return Self.result(result)
    }

    /// What the last `read` has brought. 64 bytes behind it are readable.
    @_noLocks
    public func bytes(of result: TLSResult) -> UnsafeRawBufferPointer {
        precondition(result.count >= 0 && result.count <= Self.recordBytes)
        return unsafe UnsafeRawBufferPointer(start: plaintext, count: result.count)
    }

    /// Encrypts bytes that lie together, in records of at most 16 KiB. All of them, or it has failed.
    @_noLocks
    public func write(
        _ state: TLSState,
        _ bytes: UnsafeRawBufferPointer,
        output: inout Chain
    ) -> TLSResult {
        guard let raw = unsafe state.raw else { return TLSResult(outcome: .failed) }
        guard let start = bytes.baseAddress, bytes.count > 0 else { return TLSResult(outcome: .done) }
        moveOutput(&output)
        let result = unsafe ct_write(engine, raw, start, bytes.count)
        moveOutput(&output)
        return Self.result(result)
    }

    /// Encrypts the first bytes of a chain as one record, and drops them from it.
    @_noLocks
    public func writeRecord(
        _ state: TLSState,
        from chain: inout Chain,
        output: inout Chain
    ) -> TLSResult {
        let space = unsafe UnsafeMutableRawBufferPointer(start: gathered, count: Self.recordBytes)
        // What lies together needs no gathering.
        let front = unsafe sink.pointee.pool.front(of: chain)
        let isWhole = front.count == chain.count
        let count = isWhole ? front.count : unsafe sink.pointee.pool.copy(chain, to: space)
        let bytes = unsafe isWhole ? front : UnsafeRawBufferPointer(start: gathered, count: count)
        let result = unsafe write(state, bytes, output: &output)
        if case .done = result.outcome { unsafe sink.pointee.pool.drop(count, from: &chain) }
        return result
    }

    /// Says close_notify. What the client still sends can be read.
    @_noLocks
    public func finish(_ state: TLSState, output: inout Chain) -> TLSResult {
        guard let raw = unsafe state.raw else { return TLSResult(outcome: .failed) }
        var none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
        unsafe setInput(none)
        moveOutput(&output)
        let result = unsafe ct_finish(engine, raw)
        moveOutput(&output)
        unsafe none = leftInput()
        return Self.result(result)
    }

    private func setInput(_ input: UnsafeRawBufferPointer) {
        unsafe io.pointee.input = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
        unsafe io.pointee.input_count = input.count
    }

    private func leftInput() -> UnsafeRawBufferPointer {
        let left = unsafe UnsafeRawBufferPointer(start: io.pointee.input, count: io.pointee.input_count)
        unsafe io.pointee.input = nil
        unsafe io.pointee.input_count = 0
        return unsafe left
    }

    /// Gives a chain to the sink for the time of a call, and takes it back after it: the end of it may be in a block
    /// that has room.
    private func moveOutput(_ chain: inout Chain) {
        let other = unsafe sink.pointee.chain
        unsafe sink.pointee.chain = chain
        chain = other
    }

    /// Called by BoringSSL, between two `moveOutput`.
    private static func take(_ sink: UnsafeMutableRawPointer?, _ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Bool {
        guard let sink = unsafe sink?.assumingMemoryBound(to: Sink.self) else { return false }
        let output = unsafe UnsafeRawBufferPointer(start: bytes, count: count)
        return unsafe sink.pointee.pool.append(output, to: &sink.pointee.chain)
    }

    private static func result(_ raw: ct_result) -> TLSResult {
        // The numbers are those of CTLS.h, in the same order.
        let outcome: TLSOutcome =
            switch Int(raw.outcome) {
            case 0: .done
            case 1: .more
            case 2: .ended
            default: .failed
            }
        guard case .failed = outcome else { return TLSResult(outcome: outcome, count: raw.count) }
        return TLSResult(outcome: outcome, failure: failure(raw.failure), alert: raw.alert, count: raw.count)
    }

    private static func failure(_ number: UInt8) -> TLSFailure {
        switch Int(number) {
        case 1: .notTLS
        case 2: .http
        case 3: .version
        case 4: .cipher
        case 5: .applicationProtocol
        case 6: .alert
        case 7: .output
        case 8: .memory
        default: .broken
        }
    }
}
