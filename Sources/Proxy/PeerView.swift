import Memory
import Reactor
import Routing
import Synchronization

/// What a worker needs of another one, flat, so that reaching it counts no references.
struct PeerView {
    var commands: MessageQueue<Command>
    var doorbell: Doorbell
    var counters: SharedWords
    /// Written by the peer before any listener is open.
    var blocks: BlockView?
}

/// Indices that have something to be done for them at the end of the turn.
@safe
struct IndexStack: ~Copyable {
    private let items: UnsafeMutablePointer<Int32>
    private let capacity: Int
    private var used = 0

    var count: Int { @_noLocks get { used } }

    init(capacity: Int) {
        self.capacity = capacity
        unsafe items = Region.array(of: Int32.self, count: capacity)
    }

    @_noLocks
    mutating func push(_ index: Int32) {
        precondition(used < capacity)
        unsafe items[used] = index
        used += 1
    }

    @_noLocks
    func item(_ place: Int) -> Int32 {
        precondition(place < used)
        return unsafe items[place]
    }

    @_noLocks
    mutating func removeAll() { used = 0 }
}

/// What a worker's thread starts from.
public final class WorkerStart: Sendable {
    let index: Int
    let plane: Plane
    let seed: UInt64
    let processor: Int?
    let peersAddress: UInt
    private let ring: Mutex<RingBox>

    private struct RingBox: ~Copyable {
        var ring: Ring?
    }

    var peers: UnsafeMutablePointer<PeerView> { unsafe UnsafeMutablePointer(bitPattern: peersAddress)! }

    init(index: Int, plane: Plane, ring: consuming sending Ring, peersAddress: UInt, seed: UInt64, processor: Int?) {
        self.index = index
        self.plane = plane
        self.seed = seed
        self.processor = processor
        self.peersAddress = peersAddress
        self.ring = Mutex(RingBox(ring: ring))
    }

    func takeRing() -> Ring? {
        ring.withLock { box in
            let taken = box.ring.take()
            return taken
        }
    }
}
