import Memory
import Reactor
import Routing
import Synchronization

/// What a worker needs of another one, flat, so that reaching it counts no references.
struct PeerView {
    var commands: MessageQueue<Command>
    var doorbell: Doorbell
    var counters: SharedWords
    var sessionWords: SharedWords
    var programs: SharedWords
    /// Written by the peer before any listener is open.
    var blocks: BlockView?

    /// One for each reactor, in their order. Made at start and never freed.
    static func all(of plane: Plane) -> UnsafeMutablePointer<PeerView> {
        let views = UnsafeMutablePointer<PeerView>.allocate(capacity: plane.peers.count)
        for (place, peer) in plane.peers.enumerated() {
            let view = PeerView(
                commands: peer.commands, doorbell: peer.doorbell, counters: peer.counters,
                sessionWords: peer.sessionWords, programs: peer.programs, blocks: nil)
            unsafe (views + place).initialize(to: view)
        }
        return unsafe views
    }
}

/// The other threads: how they reach this reactor, and how it reaches them. What is for a reactor whose queue is full
/// waits here until the next turn.
@safe
struct Neighbours: ~Copyable {
    // First, because the thread sanitizer takes the first word of a value for the address that an addressor changes.
    private let returns: FixedArray<Return>
    private let own: Int
    private let peers: UnsafeMutablePointer<PeerView>
    private let count: Int
    private let sessionsOfEach: Int
    /// Where the control thread's snapshots arrive.
    let mailbox: SnapshotMailbox
    let commands: MessageQueue<Command>
    let doorbell: Doorbell
    let bellSpace: UnsafeMutableRawBufferPointer

    /// A chain of another reactor that could not be sent back, because its queue was full.
    private struct Return: BitwiseCopyable {
        var chain: Chain
        var reactor: Int32
    }

    private(set) var returnCount = 0
    /// Makes it a value with an address, as `Worker` is one: a call would copy all of it.
    private let place = Atomic<UInt8>(0)

    /// Every queue of every reactor full of hand-overs at once.
    private static var returnsCapacity: Int { @_noLocks get { 1 << 20 } }
    /// The address space that they take.
    static var reservedBytes: Int { returnsCapacity * MemoryLayout<Return>.stride }

    init(_ start: WorkerStart) {
        let peer = start.plane.peers[start.index]
        own = start.index
        unsafe peers = start.peers
        count = start.plane.limits.reactors
        sessionsOfEach = start.plane.limits.sessions
        mailbox = peer.snapshots
        commands = peer.commands
        doorbell = peer.doorbell
        unsafe bellSpace = Scratch.space(8)
        unsafe returns = FixedArray(zeroed: Self.returnsCapacity)
    }

    /// The others may read these blocks.
    func publish(_ blocks: BlockView) { unsafe peers[own].blocks = blocks }

    // MARK: telling

    /// False, and nothing was done: its queue is full.
    @_noLocks
    func push(_ command: Command, to reactor: Int) -> Bool {
        precondition(reactor >= 0 && reactor < count)
        guard unsafe peers[reactor].commands.push(command) else { return false }
        unsafe peers[reactor].doorbell.ring()
        return true
    }

    /// Sends a chain back to the reactor whose blocks it has; if its queue is full it is kept until the next turn.
    @_noLocks
    mutating func giveBack(_ chain: Chain, to reactor: Int) {
        guard chain.head >= 0, !send(chain, to: reactor) else { return }
        precondition(returnCount < Self.returnsCapacity, "more chains are under way than queues can hold")
        returns[returnCount] = Return(chain: chain, reactor: Int32(truncatingIfNeeded: reactor))
        returnCount += 1
    }

    /// Tries each of them: who waits for a queue that is full keeps nobody else's blocks.
    @_noLocks
    mutating func retryReturns() {
        var kept = 0
        for place in 0..<returnCount {
            let one = returns[place]
            if send(one.chain, to: Int(one.reactor)) { continue }
            returns[kept] = one
            kept += 1
        }
        returnCount = kept
    }

    private func send(_ chain: Chain, to reactor: Int) -> Bool {
        var command = Command(.takeBack)
        command.chain = chain
        return push(command, to: reactor)
    }

    // MARK: looking

    /// The blocks of another reactor, for what it has handed over.
    @_noLocks
    func blocks(of reactor: Int) -> BlockView? {
        precondition(reactor >= 0 && reactor < count)
        return unsafe peers[reactor].blocks
    }

    @_noLocks
    func connectionCount(of reactor: Int) -> UInt64 {
        precondition(reactor >= 0 && reactor < count)
        return unsafe peers[reactor].counters.loadRelaxed(Counter.connections.place)
    }

    /// The program that has the session, as its reactor has adopted it; 0: there is no such session.
    @_noLocks
    func program(of handle: SessionHandle) -> UInt16 {
        guard handle.reactor < count, handle.index < sessionsOfEach else { return 0 }
        return unsafe UInt16(truncatingIfNeeded: peers[handle.reactor].programs.loadRelaxed(handle.index))
    }

    /// The program of one of our own sessions.
    @_noLocks
    func note(program: UInt16, ofSession session: Int32) {
        unsafe peers[own].programs.storeRelaxed(UInt64(program), at: Int(session))
    }

    /// What the session's reactor says of it (`SessionWord`); 0: nothing yet.
    @_noLocks
    func state(of handle: SessionHandle) -> UInt64 {
        guard handle.reactor < count, handle.index < sessionsOfEach else { return SessionWord.gone }
        let word = unsafe peers[handle.reactor].sessionWords.load(handle.index)
        return word >> 32 == UInt64(handle.generation) ? word & 0xFF : 0
    }
}
