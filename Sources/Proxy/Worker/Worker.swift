import HTTP1
import Memory
import Reactor
import Routing
import Synchronization
import TLS

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
/// their bytes. A turn is: wait, commands, completions, splicing, expired timers, flush.
///
/// It is born on its thread and dies there. All records lie in slabs reserved at start; nothing here allocates, counts
/// references or takes a lock after that.
@safe
struct Worker: ~Copyable {
    /// An atomic has an address of its own, and so has whoever holds one: without it, a method that does not mutate
    /// gets a copy of the whole worker, 2.5 KiB, wherever the optimizer does not see that it need not.
    private let place = Atomic<UInt8>(0)

    let index: Int
    let limits: DataPlaneLimits
    let headLimits: HeadLimits

    // The kernel.
    let ring: Ring
    var clientBuffers: ReceiveBuffers
    var sessionBuffers: ReceiveBuffers
    var gather: GatherSpace
    var pipes: Pipes
    /// What has to follow the bytes in a pipe to a client, one chain a pipe.
    let behindPipes: FixedArray<Chain>
    let tls: TLSEngine

    // The records.
    var connections: Slab<Connection>
    /// Of each connection, by its index: what it asks for, and how long that has been waited for.
    let exchanges: FixedArray<Exchange>
    let patience: FixedArray<Patience>
    var streams: Slab<Stream>
    let sessions: FixedArray<Session>
    let pool: BlockPool
    var table: StreamTable
    /// Connections: in a session's list of the ready or of the openers, or waiting for a route.
    let connectionLinks: IndexLinks
    /// Streams: in their session's list.
    let streamLinks: IndexLinks
    /// Streams without a client: lingering or idle.
    let unusedLinks: IndexLinks
    /// A node a connection, then one a session, then one for accepting again.
    var timers: TimerWheel

    #if SECOND_KIND
    let memoryHalves = MemoryHalves()
    #endif

    // What they have in common, each in the hands of a structure of its own.
    var accepting: Accepting
    var untoldEnds = UntoldEnds()
    var waiting: Waiting
    var choosing: Choosing
    var queues: TurnQueues
    var neighbours: Neighbours
    var books: Books
    var memory: MemoryUse
    var scratch: Scratch
    var date = DateText()
    /// Connections whose handshake goes on, the one that has been at it for longest first.
    var shaking = IndexList()
    /// Sessions that have said GoAway and still live.
    var drainingSessions = 0
    /// Whose word about other clients is believed.
    let trusted: FixedArray<Network>

    // This turn.
    var completionsInTurn = 0
    var snapshot: Snapshot
    var snapshotGeneration: UInt64 = 0
    var now: UInt64
    var nowMicroseconds: UInt64
    /// What may still be copied in this turn of sessions that are read frame by frame.
    var copiesLeft = 0

    // The end.
    var isDraining = false
    /// The command to end has come in this turn.
    var drainsInTurn = false
    var isStopped = false

    /// - Throws: why the ring cannot be enabled; everything else has been made before the thread.
    init(_ start: WorkerStart) throws(RingFailure) {
        guard let rings = start.takeRings() else { preconditionFailure("a worker is started once") }
        try rings.ring.enable()
        let limits = start.plane.limits
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
        self.exchanges = unsafe FixedArray(zeroed: limits.connections)
        self.patience = unsafe FixedArray(zeroed: limits.connections)
        self.streams = Slab(capacity: limits.streamsPerReactor)
        let freeSession = Session(limits: limits.session, firstStreamID: limits.firstStreamID)
        self.sessions = FixedArray(repeating: freeSession, count: limits.sessions)
        self.pool = Self.blocks(limits)
        self.tls = TLSEngine(pool: pool)
        self.table = StreamTable(capacity: limits.streamsPerReactor)
        self.connectionLinks = IndexLinks(capacity: limits.connections)
        self.streamLinks = IndexLinks(capacity: limits.streamsPerReactor)
        self.unusedLinks = IndexLinks(capacity: limits.streamsPerReactor)
        self.nowMicroseconds = Sockets.nowMicroseconds()
        self.now = nowMicroseconds / 1_000
        self.timers = TimerWheel(capacity: limits.connections + limits.sessions + 2, now: now)
        self.accepting = Accepting(listeners: limits.listeners)
        self.waiting = Waiting(start.plane)
        self.choosing = Choosing(seed: start.seed)
        self.queues = TurnQueues(connections: limits.connections, sessions: limits.sessions)
        self.neighbours = Neighbours(start)
        neighbours.publish(pool.view)
        self.books = Books(start.plane, reactor: start.index)
        self.memory = MemoryUse(limits)
        self.scratch = Scratch(limits)
        self.trusted = FixedArray(copying: limits.trusted)
        self.snapshot = neighbours.mailbox.beginTurn()
        neighbours.mailbox.endTurn()
    }

    private static func blocks(_ limits: DataPlaneLimits) -> BlockPool {
        let pool = BlockPool(capacity: limits.blocksPerReactor)
        if limits.callsUntilNoBlock >= 0 { pool.failOnce(after: limits.callsUntilNoBlock) }
        return pool
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
