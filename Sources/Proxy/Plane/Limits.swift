public import Exchanges
import Memory
public import Reactor
import Yamux

/// What bounds the data plane, as the flags say it. Times in milliseconds, sizes in bytes; one place for the defaults.
public struct DataPlaneLimits: Sendable {
    /// Threads with a ring of their own.
    public var reactors = 1
    /// Clients of the whole process; every reactor reserves slots for all of them.
    public var connections = 8192
    /// Sessions of the whole process.
    public var sessions = 4096
    /// Public ports that can be open at once.
    public var listeners = 4096
    public var ringEntries = 1024
    /// Microseconds for which a reactor with nothing to do looks for more before it sleeps.
    public var busyPoll = 0
    /// Provided buffers of each reactor for what clients send. A power of two.
    public var receiveBuffers = 256
    public var receiveBufferBytes = 8192
    public var headBytes = 65_536
    /// How long anybody waits.
    public var timeouts = Timeouts()
    /// Handshakes at once, of the whole process; beyond it the one that has been at it for longest ends.
    public var handshakes = 4096
    /// How long a client waits for a service that has gone.
    public var hold: UInt64 = 30_000
    /// Clients of a route that wait; a listener may have sixteen times as many.
    public var holdLimit = 8192
    /// Until then (monotonic clock) a host and path that nobody has registered yet waits too.
    public var graceEnd: UInt64 = 0
    /// Clients that had to wait, released to a session in a second; 0: as many at once as it has answered, and a few.
    public var releaseRate = 0
    /// Bytes that the waiting clients of a route may have said, sixteen times as many on a listener.
    public var holdBytes = 64 << 20
    /// Silence after which a session is asked by a ping, and how long that may go unanswered.
    public var pingInterval: UInt64 = 10_000
    public var pingTimeout: UInt64 = 10_000
    /// Bytes that may lie in blocks, of the whole process, before no stream gets new credit.
    public var bufferBytes = 512 << 20
    /// What is told apart from other proxies by, in requests that come back; 0: nobody looks for those.
    public var loopMark: UInt64 = 0
    /// Clients whose forwarding fields are believed.
    public var trusted: [Network] = []
    /// Pipes of each reactor, for bytes that are not copied; 0: all are.
    public var pipes = 64
    public var pipeBytes = 512 << 10
    /// Slots for the figures of routes, the two that belong to no route included.
    public var routeFigures = RouteCounter.firstSlot + 512
    public static var mostRoutesWithFigures: Int { 16_384 }
    /// For tests: every connection is handed over at least once.
    public var forceHandOver = false
    /// For tests: the id of each session's first stream, an odd one.
    public var firstStreamID: UInt32 = 1
    /// For tests: after how many calls the pool of blocks has no room, once; debug builds alone. Negative: never.
    var callsUntilNoBlock = -1
    /// For tests: blocks of a reactor beyond those that are spared.
    var blocksForTest: Int?
    /// Streams of a reactor beyond two for each connection.
    var spareStreams = 4096

    public init() {}

    /// Buffers for what services send: shared by the sessions of a reactor, borrowed only while they hold bytes.
    public static var sessionBuffers: Int { @_noLocks get { 16 } }
    public static var sessionBufferBytes: Int { @_noLocks get { 64 << 10 } }
    /// Beyond this, a client's bytes are left in the kernel.
    static var receivedBytes: Int { @_noLocks get { 64 << 10 } }
    /// Beyond this, no further request of a pipeline is begun: the client has to take its replies first.
    static var outgoingBytesToBegin: Int { @_noLocks get { 64 << 10 } }
    /// What is sealed ahead for a client of TLS.
    static var sealedBytes: Int { @_noLocks get { 64 << 10 } }
    /// BoringSSL's memory for a connection at most, and during its handshake. Measured, ours included: 4 KiB when it is
    /// idle, 20 within a record, 7 within the handshake, 75 where a client makes it as dear as it can
    /// (Tests/EndToEnd, `TestTLSConnectionsCostNoMoreThanIsSaid`).
    static var tlsBytes: Int { @_noLocks get { 24 << 10 } }
    static var tlsHandshakeBytes: Int { @_noLocks get { 80 << 10 } }
    /// What the proxy says in a handshake, at most: its certificates.
    static var handshakeBytes: Int { @_noLocks get { 64 << 10 } }
    /// What a session may have waiting to be sent before its streams queue up.
    static var egressBytes: Int { @_noLocks get { 128 << 10 } }
    /// Payload of a frame at most: a frame that is begun keeps all others of its session waiting.
    static var frameBytes: Int { @_noLocks get { 64 << 10 } }
    /// What the streams of a session may have under way beyond the window that every stream has.
    static var extraCreditOfSession: Int { @_noLocks get { 64 << 20 } }
    /// Payload of a frame that is spliced, at most.
    static var splicedFrameBytes: Int { @_noLocks get { 256 << 10 } }
    /// What is copied in a turn of sessions that are read frame by frame, of all of them together.
    static var copiedBytesPerTurn: Int { @_noLocks get { 4 << 20 } }
    /// How often it is looked which session holds how much, while memory is scarce.
    static var shareMilliseconds: UInt64 { @_noLocks get { 50 } }
    /// What is spliced from or to a session before it is another one's turn.
    static var splicedBytesPerTurn: Int { @_noLocks get { 1 << 20 } }
    /// Less than this is copied: a frame of it is not worth two more system calls (measured: even between 4 and 8 KiB,
    /// a third cheaper from 32 KiB on).
    static var smallestSplice: Int { @_noLocks get { 16 << 10 } }
    /// A session is read frame by frame from a payload of this size on.
    static var largeFrameBytes: Int { @_noLocks get { 32 << 10 } }
    /// What a receive brings at most while the flow is bulk: it only waits for bytes, and sees whether they are many.
    static var bulkReceiveBytes: Int { @_noLocks get { 4 << 10 } }
    /// A body of at least this length is bulk with its first full receive.
    static var bulkBodyBytes: UInt64 { @_noLocks get { 256 << 10 } }
    /// Full receives in a row that make a flow bulk, and small ones, or wake-ups without a large frame, that end it.
    static var bulkSigns: UInt8 { @_noLocks get { 2 } }
    static var smallSigns: UInt8 { @_noLocks get { 3 } }
    /// Headers read by themselves after a spliced frame; then the session's bytes are read together again.
    static var narrowReads: UInt8 { @_noLocks get { 4 } }
    /// Bytes beyond what a pipe holds that show that their client cannot follow.
    static var pileBytes: Int { @_noLocks get { 64 << 10 } }
    /// Where bytes of a session are read to that go no other way.
    static var bulkSpaceBytes: Int { @_noLocks get { 64 << 10 } }
    /// What a client's socket is offered at once, from where the service's bytes lie, instead of being put aside first.
    static var smallestDirectSend: Int { @_noLocks get { 16 << 10 } }
    /// What a stream may send before it is another one's turn.
    static var quantumBytes: Int { @_noLocks get { 16 << 10 } }
    /// Streams of a session that wait for the service's FIN; beyond it the oldest is reset.
    static var lingeringStreams: Int32 { @_noLocks get { 1024 } }
    static var lingerMilliseconds: UInt64 { @_noLocks get { 30_000 } }
    /// How many streams more than another one of its route a session gets, so that the requests of a turn share a send.
    static var sharedRequests: Int32 { @_noLocks get { 4 } }
    /// How long the FIN of a stream whose reply is out waits for something to be sent with.
    static var lateMilliseconds: UInt64 { @_noLocks get { 16 } }
    /// Streams of a session that are kept open for the next request (`reuse-streams`).
    static var idleStreams: Int32 { @_noLocks get { 64 } }
    /// What is read of a client that was told to go, at most.
    static var discardedBytes: UInt64 { @_noLocks get { 1 << 20 } }
    /// What a kernel sends without having heard of the peer, ten segments: so much unacknowledged has all been sent.
    static var bytesOnTheirWay: Int { @_noLocks get { 14_000 } }
    /// How often a request may come back: once or twice that may be somebody's intention.
    static var passes: Int { @_noLocks get { 3 } }
    /// What is kept of an exchange, to be sent again, at most.
    static var keptBytes: Int { @_noLocks get { 64 << 10 } }
    /// A session that has accepted nothing for so long, although it could have, is slow.
    static var slowMilliseconds: UInt64 { @_noLocks get { 1_000 } }
    /// A service that has refused a stream gets none for twice as long, and longer the more it refuses in a row.
    static var refusalMilliseconds: UInt64 { @_noLocks get { 10 } }
    /// A session gets what others have died with when it has lived for so long.
    static var settledMilliseconds: UInt64 { @_noLocks get { 10 } }
    /// The same for who has waited as long as `steadyMilliseconds`: all others have got theirs then.
    static var hastyMilliseconds: UInt64 { @_noLocks get { 3 } }
    /// A session that has answered nothing yet gets an exchange's last attempt when it has lived for so long.
    static var steadyMilliseconds: UInt64 { @_noLocks get { 500 } }
    /// After so long a wait for such a session any other one will do.
    static var impatienceMilliseconds: UInt64 { @_noLocks get { 3_000 } }
    /// A session that ends before it has lived for so long may have ended by itself, though it has answered something.
    static var youthMilliseconds: UInt64 { @_noLocks get { 100 } }
    /// How often it is looked whether a session is fit for what waits for that.
    static var doubtMilliseconds: UInt64 { @_noLocks get { 2 } }
    /// How long a service that has said GoAway may accept what was on its way: a reset would cost what it accepts.
    static var goAwayMilliseconds: UInt64 { @_noLocks get { 100 } }
    /// A slow session that lives is tried again after twice this, and later each time, up to sixteen times this.
    static var slowPauseMilliseconds: UInt64 { @_noLocks get { 5_000 } }
    /// How much of a `--release-rate` may be made up for at once.
    static var releaseBurstMicroseconds: UInt64 { @_noLocks get { 50_000 } }
    /// Clients that had to wait and that a session gets at once when it has answered nobody yet.
    static var firstRelease: UInt32 { @_noLocks get { 8 } }
    /// How long a proxy that ends waits for the first word of a client that has just come.
    static var drainPatienceMilliseconds: UInt64 { @_noLocks get { 100 } }
    /// No more clients than this wait in a listener's queue.
    public static var longestBacklog: Int { @_noLocks get { 65_535 } }
    static var acceptPauseMilliseconds: UInt64 { @_noLocks get { 100 } }
    /// How often clients are looked at, at most, for ends that the kernel has not told of.
    static var lookMilliseconds: UInt64 { @_noLocks get { 4_000 } }
    /// So many have their turn together; those of them that have brought bytes cost a system call each.
    static var looksAtOnce: Int32 { @_noLocks get { 1_024 } }
    static var sessionTickMilliseconds: UInt64 { @_noLocks get { 1_000 } }

    /// Every waiting byte lies in a block: what the limit allows and a quarter more, where the stalled are reset; what
    /// the sockets can bring in the three turns until a reset has given its blocks back; and what is spared for replies
    /// of ours and for frames.
    var blocksPerReactor: Int {
        let received = receiveBuffers * receiveBufferBytes + Self.sessionBuffers * Self.sessionBufferBytes
        let bytes = waitingBytes + 3 * (received + Self.copiedBytesPerTurn)
        return (blocksForTest ?? bytes / BlockPool.blockBytes) + sparedBlocks
    }

    /// Blocks that bytes which merely pass through may not use: those for frames, and those for heads and for small
    /// replies to clients that have nothing else to be sent.
    var sparedBlocks: Int {
        @_noLocks get { sparedFrameBlocks + 1_024 + connections / 4 }
    }

    /// Blocks that a request may need at once: an edited head, and what comes with it.
    var blocksOfRequest: Int { (2 * headBytes + receiveBufferBytes + 2 * Self.frameBytes) / BlockPool.blockBytes + 4 }

    /// Blocks for nothing but frames, the end of each session's chains with it: a session that could not write one
    /// would be lost.
    var sparedFrameBlocks: Int {
        @_noLocks get { 1_024 + 2 * sessions }
    }

    /// A quarter of all that may lie in blocks. Of each reactor, for one may serve all clients; what all of them hold
    /// together is bounded anyway.
    var keptBlocks: Int {
        @_noLocks get { bufferBytes / 4 / BlockPool.blockBytes }
    }

    /// The same of all streams of a reactor: credit is a promise, so what all of them hold of it at once has to fit
    /// into a half of what may lie in blocks.
    var extraCreditPerReactor: Int {
        @_noLocks get { bufferBytes / 2 / reactors }
    }

    var session: SessionLimits {
        @_noLocks get {
            var limits = SessionLimits()
            limits.pingIntervalMilliseconds = UInt32(clamping: pingInterval)
            limits.pingTimeoutMilliseconds = UInt32(clamping: pingTimeout)
            return limits
        }
    }

    /// Streams of a reactor: one a connection, as many that linger, and some more.
    public var streamsPerReactor: Int { 2 * connections + spareStreams }

    /// Completions that can be under way: every buffer, and for each connection a send, a cancel and an end.
    public var completionEntries: Int { max(4 * ringEntries, 2 * receiveBuffers + 4096) }

    public var ringConfiguration: RingConfiguration {
        RingConfiguration(entries: UInt32(ringEntries), completionEntries: UInt32(completionEntries))
    }

    /// What a client costs while it says nothing: its record, and its places in lists and timers.
    public static var clientBytes: Int {
        Slab<Connection>.bytesPerSlot + MemoryLayout<Exchange>.stride + TimerWheel.bytesPerNode
            + 5 * IndexLinks.bytesPerIndex
    }

    /// What a session costs while nothing is said on it. Its slot is there on each reactor.
    public static var sessionBytes: Int {
        MemoryLayout<Session>.stride + TimerWheel.bytesPerNode + 2 * IndexLinks.bytesPerIndex
    }

    /// What the figures of a route cost on a reactor that has served it.
    public static var routeBytes: Int { RouteCounter.stride * MemoryLayout<UInt64>.stride }

    /// What a stream costs, without the bytes that wait on it.
    public static var streamBytes: Int {
        Slab<Stream>.bytesPerSlot + 2 * IndexLinks.bytesPerIndex + StreamTable.bytesPerStream
    }

    /// What the kernel fills: of all reactors.
    public var receiveBytes: Int {
        reactors * (receiveBuffers * receiveBufferBytes + Self.sessionBuffers * Self.sessionBufferBytes)
    }

    /// What may lie in blocks: beyond `bufferBytes` services have to stop, and with a quarter more clients are reset.
    public var waitingBytes: Int { @_noLocks get { bufferBytes + bufferBytes / 4 } }

    /// What may lie in pipes, in the kernel's memory: of all reactors.
    public var pipedBytes: Int { reactors * pipes * pipeBytes }

    /// Memory that these limits allow the data plane to touch, in bytes, without BoringSSL's. A slot of a client, a
    /// session or a stream that has been used once on a reactor stays there, so each counts on every one.
    public var memoryBound: Int {
        let clients = connections * Self.clientBytes
        let services = sessions * Self.sessionBytes + streamsPerReactor * Self.streamBytes
        return receiveBytes + waitingBytes + reactors * (clients + services + routeFigures * Self.routeBytes)
    }

    /// What BoringSSL may add to it if all clients come by TLS.
    public var tlsMemoryBound: Int { settledTLSBytes + handshakeTLSBytes }

    /// How many of the connections may be within their handshake at once.
    public var handshakesAtOnce: Int { min(max(handshakes, 16 * reactors), connections) }

    /// What BoringSSL may need for those.
    public var handshakeTLSBytes: Int { handshakesAtOnce * Self.tlsHandshakeBytes }

    /// What BoringSSL may need for the others, whose handshake is done.
    public var settledTLSBytes: Int { (connections - handshakesAtOnce) * Self.tlsBytes }
}

/// A network in CIDR notation; IPv4 ones are mapped into IPv6.
public struct Network: BitwiseCopyable, Sendable, Equatable {
    /// The address, big endian.
    public var high: UInt64
    public var low: UInt64
    public var prefixLength: Int

    /// - Parameter prefixLength: 0...128, of the mapped address.
    public init(high: UInt64, low: UInt64, prefixLength: Int) {
        precondition(0...128 ~= prefixLength)
        self.prefixLength = prefixLength
        let masks = Self.masks(prefixLength)
        self.high = high & masks.high
        self.low = low & masks.low
    }

    @_noLocks
    public func contains(high: UInt64, low: UInt64) -> Bool {
        let masks = Self.masks(prefixLength)
        return high & masks.high == self.high && low & masks.low == self.low
    }

    private static func masks(_ length: Int) -> (high: UInt64, low: UInt64) {
        let high: UInt64 = length == 0 ? 0 : length >= 64 ? .max : .max << UInt64(64 - length)
        let low: UInt64 = length <= 64 ? 0 : length >= 128 ? .max : .max << UInt64(128 - length)
        return (high, low)
    }
}
