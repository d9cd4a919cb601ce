import Reactor
import Synchronization

/// A worker's ring and its receive buffers, made before its thread: what hinders them shows at start.
struct WorkerRings: ~Copyable {
    let ring: Ring
    let clientBuffers: ReceiveBuffers
    let sessionBuffers: ReceiveBuffers
    let pipes: Pipes

    static func make(_ limits: DataPlaneLimits) throws(RingFailure) -> WorkerRings {
        let ring = try Ring(limits.ringConfiguration)
        let clients = try ReceiveBuffers(
            ring, group: 0, count: limits.receiveBuffers, bufferBytes: limits.receiveBufferBytes)
        let services = try ReceiveBuffers(
            ring, group: 1, count: DataPlaneLimits.sessionBuffers, bufferBytes: DataPlaneLimits.sessionBufferBytes)
        let pipes = Pipes(count: limits.pipes, bytes: limits.pipeBytes)
        return WorkerRings(ring: ring, clientBuffers: clients, sessionBuffers: services, pipes: pipes)
    }
}

/// What a worker's thread starts from.
public final class WorkerStart: Sendable {
    let index: Int
    let plane: Plane
    let seed: UInt64
    let processor: Int?
    let peersAddress: UInt
    /// Why the reactor does not run. Written by its thread.
    let failure = Mutex<RingFailure?>(nil)
    private let rings: Mutex<RingsBox>

    private struct RingsBox: ~Copyable {
        var rings: WorkerRings?
    }

    var peers: UnsafeMutablePointer<PeerView> { unsafe UnsafeMutablePointer(bitPattern: peersAddress)! }

    init(
        index: Int, plane: Plane, rings: consuming sending WorkerRings, peersAddress: UInt, seed: UInt64,
        processor: Int?
    ) {
        self.index = index
        self.plane = plane
        self.seed = seed
        self.processor = processor
        self.peersAddress = peersAddress
        self.rings = Mutex(RingsBox(rings: rings))
    }

    func takeRings() -> WorkerRings? {
        rings.withLock { box in
            let taken = box.rings.take()
            return taken
        }
    }
}
