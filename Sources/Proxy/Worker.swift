import HTTP1
import Memory
import Reactor
import Routing
import Synchronization
import TLS
import Yamux

/// What a completion is about.
enum Operation {
    static var accept: UInt8 { @_noLocks get { 1 } }
    static var receive: UInt8 { @_noLocks get { 2 } }
    static var send: UInt8 { @_noLocks get { 3 } }
    static var poll: UInt8 { @_noLocks get { 4 } }
    static var sessionReceive: UInt8 { @_noLocks get { 5 } }
    static var sessionSend: UInt8 { @_noLocks get { 6 } }
    static var bell: UInt8 { @_noLocks get { 7 } }
    /// Its own completion says nothing: a cancel, a close.
    static var aside: UInt8 { @_noLocks get { 8 } }
    static var sessionPoll: UInt8 { @_noLocks get { 9 } }
}

/// One reactor's data plane: every connection, session and stream that lives on this thread, and the ring that moves
/// their bytes. A turn is: wait, commands, completions, expired timers, flush.
///
/// It is born on its thread and dies there. All records lie in slabs reserved at start; nothing here allocates, counts
/// references or takes a lock after that.
@safe
struct Worker: ~Copyable {
    static var unknownRoute: UInt32 { @_noLocks get { .max } }

    /// An atomic has an address of its own, and so has whoever holds one: without it, a method that does not mutate
    /// gets a copy of the whole worker, 2.5 KiB, wherever the optimizer does not see that it need not.
    private let place = Atomic<UInt8>(0)

    let index: Int
    let limits: DataPlaneLimits
    let headLimits: HeadLimits
    let ring: Ring
    var clientBuffers: ReceiveBuffers
    var sessionBuffers: ReceiveBuffers
    var gather: GatherSpace
    var pipes: Pipes
    /// What has to follow the bytes in a pipe to a client, one chain a pipe.
    let behindPipes: FixedArray<Chain>

    var connections: Slab<Connection>
    var streams: Slab<Stream>
    let sessions: FixedArray<Session>
    let pool: BlockPool
    /// Blocks in use up to which bytes that pass through may have more, and up to which another stream may be opened:
    /// sums of limits, at hand for each request.
    let blocksForBytes: Int
    let blocksForStreams: Int
    let tls: TLSEngine
    var table: StreamTable
    /// Connections: in a session's list of the ready or of the openers, or waiting for a route.
    let connectionLinks: IndexLinks
    /// Streams: in their session's list.
    let streamLinks: IndexLinks
    /// Streams without a client: lingering or idle.
    let unusedLinks: IndexLinks
    /// Connections that wait for a route, oldest first.
    var waiting = IndexList()
    /// How many wait for a session, in the lists of the sessions.
    var waitingForSessions = 0
    /// Sessions that have said GoAway and still live.
    var drainingSessions = 0
    /// Connections whose handshake goes on, the one that has been at it for longest first.
    var shaking = IndexList()
    /// Connections that have ended in this turn, whose slots are free at its end.
    var ended = IndexList()
    /// A node a connection, then one a session, then one for accepting again.
    var timers: TimerWheel

    /// Those with something to be sent, or to be looked at, at the end of the turn.
    var dirtyConnections: IndexQueue
    /// Those whose next request may lie aside.
    var servable: IndexQueue
    var dirtySessions: IndexQueue
    /// Receives that ran out of buffers.
    var starvedConnections: IndexQueue
    var starvedSessions: IndexQueue
    /// Those whose turn at splicing was over before all was moved: from a session, and to it.
    var splicingReaders: IndexQueue
    var splicingSenders: IndexQueue
    /// Connections that could not be handed over, because a queue was full.
    var postponed: IndexQueue

    let peers: UnsafeMutablePointer<PeerView>
    let totals: SharedWords
    let waitingClients: HoldShares
    let waitingBytes: HoldShares
    let sessionWords: SharedWords
    let listenerWords: SharedWords
    let counters: SharedWords
    let listenerCounters: SharedWords
    let sessionTallies: SharedWords
    let finished: SharedWords
    let controlBell: ControlBell
    let mailbox: SnapshotMailbox
    let commands: MessageQueue<Command>
    let doorbell: Doorbell

    /// Of this turn.
    var completionsInTurn = 0
    var snapshot: Snapshot
    var snapshotGeneration: UInt64 = 0
    var now: UInt64
    var nowMicroseconds: UInt64
    var random: UInt64
    /// The route of the last choice, by its lasting number.
    var routeInChoice = UInt32.max
    /// The session that a choice of this turn has picked, and for which route; -1: none yet.
    var recentSession = Int32(-1)
    var recentRoute = UInt32.max
    /// Where heads are put together, and edited.
    let assembly: UnsafeMutableRawBufferPointer
    let edited: UnsafeMutableRawBufferPointer
    let pathSpace: UnsafeMutableRawBufferPointer
    let bellSpace: UnsafeMutableRawBufferPointer
    let bulkSpace: UnsafeMutableRawBufferPointer
    /// The time as `Date` has it, and when it is written anew.
    let dateSpace: UnsafeMutableRawBufferPointer
    var dateDue: UInt64 = 0
    var requestHead = RequestHead()
    var responseHead = ResponseHead()

    /// Chains of other reactors that could not be sent back, because a queue was full.
    let returns: UnsafeMutablePointer<(Chain, Int)>
    var returnCount = 0

    var accepting: Accepting
    var isDraining = false
    /// The command to end has come in this turn.
    var drainsInTurn = false
    var isStopped = false
    /// When the control thread last heard that something failed.
    var failureToldAt: UInt64 = 0
    /// Blocks in which passed-on bytes are kept, to be sent again.
    var keptBlocks = 0
    /// What streams here may have under way beyond the window that every stream has.
    var extraCredit = 0
    /// Blocks that `totals` knows of.
    var blocksReported = 0
    var isOverBufferLimit = false
    /// More than a half of the limit is in use: what a session holds is looked at before it gets another stream.
    var isScarce = false
    /// When that was weighed last, and what the sessions hold, in KiB; only while it is scarce.
    var weighedAt: UInt64 = 0
    let heldBySession: FixedArray<Int32>
    /// Bytes of connections that are closing: their blocks come back when the kernel has let go of them.
    var closingBytes = 0
    /// What may still be copied in this turn of sessions that are read frame by frame.
    var copiesLeft = 0
    var trustedCount: Int
    let trusted: UnsafeMutablePointer<Network>

    /// - Throws: why the ring cannot be enabled; everything else has been made before the thread.
    init(_ start: WorkerStart) throws(RingFailure) {
        guard let rings = start.takeRings() else { preconditionFailure("a worker is started once") }
        try rings.ring.enable()
        let limits = start.plane.limits
        let peer = start.plane.peers[start.index]
        self.index = start.index
        self.limits = limits
        self.headLimits = HeadLimits(headBytes: limits.headBytes)
        self.clientBuffers = rings.clientBuffers
        self.sessionBuffers = rings.sessionBuffers
        self.pipes = rings.pipes
        self.behindPipes = FixedArray(repeating: Chain(), count: max(1, limits.pipes))
        self.ring = rings.ring
        self.gather = GatherSpace(sends: limits.ringEntries)
        self.connections = Slab(capacity: limits.connections)
        self.streams = Slab(capacity: limits.streamsPerReactor)
        let freeSession = Session(limits: limits.session, firstStreamID: limits.firstStreamID)
        self.sessions = FixedArray(repeating: freeSession, count: limits.sessions)
        self.heldBySession = unsafe FixedArray(zeroed: limits.sessions)
        self.accepting = Accepting(listeners: limits.listeners)
        self.pool = Self.blocks(limits)
        self.blocksForBytes = limits.blocksPerReactor - limits.sparedBlocks
        self.blocksForStreams = blocksForBytes - limits.blocksOfRequest
        self.tls = TLSEngine(pool: pool)
        self.table = StreamTable(capacity: limits.streamsPerReactor)
        self.connectionLinks = IndexLinks(capacity: limits.connections)
        self.streamLinks = IndexLinks(capacity: limits.streamsPerReactor)
        self.unusedLinks = IndexLinks(capacity: limits.streamsPerReactor)
        self.nowMicroseconds = Sockets.nowMicroseconds()
        self.now = nowMicroseconds / 1_000
        self.timers = TimerWheel(capacity: limits.connections + limits.sessions + 1, now: now)
        self.dirtyConnections = IndexQueue(capacity: limits.connections)
        self.servable = IndexQueue(capacity: limits.connections)
        self.dirtySessions = IndexQueue(capacity: limits.sessions)
        self.starvedConnections = IndexQueue(capacity: limits.connections)
        self.starvedSessions = IndexQueue(capacity: limits.sessions)
        self.splicingReaders = IndexQueue(capacity: limits.sessions)
        self.splicingSenders = IndexQueue(capacity: limits.sessions)
        self.postponed = IndexQueue(capacity: limits.connections)
        unsafe self.returns = .allocate(capacity: Self.returnsCapacity)
        unsafe self.peers = start.peers
        unsafe peers[start.index].blocks = pool.view
        self.totals = start.plane.totals
        self.waitingClients = start.plane.waitingClients
        self.waitingBytes = start.plane.waitingBytes
        self.sessionWords = peer.sessionWords
        self.listenerWords = peer.listenerWords
        self.counters = peer.counters
        self.listenerCounters = peer.listenerCounters
        self.sessionTallies = peer.sessionTallies
        self.finished = peer.finished
        self.controlBell = start.plane.controlBell
        self.mailbox = peer.snapshots
        self.commands = peer.commands
        self.doorbell = peer.doorbell
        self.snapshot = peer.snapshots.beginTurn()
        mailbox.endTurn()
        self.random = start.seed | 1
        let headSpace = limits.headBytes + limits.receiveBufferBytes + RequestHead.editedHeadSlack + 8192
        unsafe self.assembly = Self.space(headSpace)
        unsafe self.edited = Self.space(headSpace)
        unsafe self.pathSpace = Self.space(limits.headBytes)
        unsafe self.bellSpace = Self.space(8)
        unsafe self.dateSpace = Self.space(HTTPDate.byteCount)
        unsafe self.bulkSpace = Self.space(DataPlaneLimits.bulkSpaceBytes)
        self.trustedCount = limits.trusted.count
        unsafe self.trusted = Self.networks(limits.trusted)
    }

    private static func blocks(_ limits: DataPlaneLimits) -> BlockPool {
        let pool = BlockPool(capacity: limits.blocksPerReactor)
        if limits.callsUntilNoBlock >= 0 { pool.failOnce(after: limits.callsUntilNoBlock) }
        return pool
    }

    private static func networks(_ networks: [Network]) -> UnsafeMutablePointer<Network> {
        let copies = UnsafeMutablePointer<Network>.allocate(capacity: max(1, networks.count))
        for (place, network) in networks.enumerated() { unsafe (copies + place).initialize(to: network) }
        return unsafe copies
    }

    private static func space(_ count: Int) -> UnsafeMutableRawBufferPointer {
        // Scanners read up to 64 bytes beyond what they are given.
        unsafe UnsafeMutableRawBufferPointer(start: Region(byteCount: count + 64).base, count: count)
    }

    /// A token for an operation on a connection.
    @_noLocks
    func token(_ operation: UInt8, connection: Int32) -> Token {
        Token(kind: operation, generation: connections.generation(of: connection), index: connection)
    }

    @_noLocks
    func token(_ operation: UInt8, session: Int32) -> Token {
        Token(kind: operation, generation: sessions[session].generation, index: session)
    }

    @_noLocks
    func bump(_ counter: Counter, by amount: UInt64 = 1) {
        let place = counter.place
        counters.storeRelaxed(counters.loadRelaxed(place) &+ amount, at: place)
    }

    @_noLocks
    func set(_ counter: Counter, to value: Int) {
        counters.storeRelaxed(UInt64(truncatingIfNeeded: value), at: counter.place)
    }

    /// xorshift64: which of two sessions is looked at needs no better.
    @_noLocks
    mutating func nextRandom() -> UInt64 {
        random ^= random << 13
        random ^= random >> 7
        random ^= random << 17
        return random
    }

    /// A session that is still the one that the handle means.
    @_noLocks
    func isLive(_ handle: SessionHandle) -> Bool {
        guard handle.reactor == index, handle.index < limits.sessions else { return false }
        let session = handle.index
        if case .live = sessions[session].phase {
            return sessions[session].generation == handle.generation
        }
        return false
    }
}

extension Counter {
    /// Without the generic accessor of raw values, which debug builds do not inline.
    var place: Int {
        @_noLocks get { Int(unsafe unsafeBitCast(self, to: UInt8.self)) }
    }
}
