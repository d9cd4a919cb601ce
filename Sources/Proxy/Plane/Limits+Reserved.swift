import Memory
import Reactor

// The address space that is reserved at start. Most of it is never touched, but it counts towards RLIMIT_AS and towards
// what the kernel promises under strict overcommit: the sum is asked for before the first part of it.
extension DataPlaneLimits {
    /// Of a reactor's thread.
    static var stackBytes: Int { 8 << 20 }

    /// Of all reactors, at most a little more than what they reserve.
    public var reservedBytes: Int {
        reactors * (reservedBytesOfReactor + reservedBytesOfPeer) + 2 * HoldShares.reservedBytes(listeners: listeners)
    }

    private var reservedBytesOfReactor: Int {
        let records =
            connections * (Self.clientBytes + MemoryLayout<Patience>.stride) + streamsPerReactor * Self.streamBytes
            + sessions * (Self.sessionBytes + 2 * IndexLinks.bytesPerIndex + MemoryLayout<Int32>.stride)
        let blocks = blocksPerReactor * (BlockPool.blockBytes + MemoryLayout<BlockPool.Block>.stride)
        let receive = receiveBytes / reactors
        let rings =
            ringEntries * (Self.queuedBytes + GatherSpace.bytesPerSend) + completionEntries * Self.completionBytes
        let heads = 3 * (headBytes + receiveBufferBytes)
        let queues =
            ParkedClients.capacity * MemoryLayout<ParkedClient>.stride
            + Neighbours.reservedBytes
        return records + blocks + receive + rings + heads + queues + Self.stackBytes + Self.spareBytes
    }

    /// What the others know of a reactor.
    private var reservedBytesOfPeer: Int {
        let word = MemoryLayout<UInt64>.stride
        let figures = (listeners + 1) * ListenerCounter.stride + routeFigures * RouteCounter.stride
        let words = word * (figures + listeners + 4 * sessions)
        return words + Self.commandsCapacity * (word + MemoryLayout<Command>.stride)
    }

    /// Commands that wait for a reactor.
    static var commandsCapacity: Int { 16_384 }
    /// An operation in the submission queue, and a completion in the other one.
    private static var queuedBytes: Int { 68 }
    private static var completionBytes: Int { 16 }
    /// Small things of a reactor, and what rounding up to pages adds.
    private static var spareBytes: Int { 1 << 20 }

    /// What a client may cost, whose slots are there on every reactor, if it comes by TLS; without the bytes that wait.
    public static func bytesOfClient(reactors: Int) -> Int { tlsBytes + reactors * (clientBytes + 2 * streamBytes) }
    /// What BoringSSL may need for a handshake.
    public static var bytesOfHandshake: Int { tlsHandshakeBytes }
}
