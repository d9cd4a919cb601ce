import Memory

/// A listening socket of this reactor.
struct ListenerSlot: BitwiseCopyable {
    var fd: Int32 = -1
    /// Told apart from a former listener in the same slot; 0: none.
    var generation: UInt32 = 0
    var isArmed = false
    var isClosing = false

    @_noLocks
    init(generation: UInt32 = 0) { self.generation = generation }
}

/// A client without a slot.
struct ParkedClient: BitwiseCopyable {
    var fd: Int32
    var listener: Int32
    var generation: UInt32

    @_noLocks
    init(fd: Int32, listener: Int32, generation: UInt32) {
        self.fd = fd
        self.listener = listener
        self.generation = generation
    }
}

/// Clients that were accepted beyond the limit and wait for a slot, oldest first.
struct ParkedClients: ~Copyable {
    static var capacity: Int { @_noLocks get { 8192 } }

    private let ring = unsafe FixedArray<ParkedClient>(zeroed: ParkedClients.capacity)
    private var first = 0
    private(set) var count = 0

    var isEmpty: Bool { @_noLocks get { count == 0 } }
    var isFull: Bool { @_noLocks get { count == Self.capacity } }

    /// The one that `offset` others have come before.
    @_noLocks
    subscript(offset: Int) -> ParkedClient {
        @_noLocks get {
            precondition(offset >= 0 && offset < count)
            return ring[(first + offset) % Self.capacity]
        }
    }

    @_noLocks
    mutating func append(_ client: ParkedClient) {
        precondition(!isFull, "rule 28: no more are parked than there is room for")
        ring[(first + count) % Self.capacity] = client
        count += 1
    }

    @_noLocks
    mutating func removeFirst() {
        precondition(!isEmpty)
        first = (first + 1) % Self.capacity
        count -= 1
    }
}

/// How a reactor gets its clients: its part of each listener, and those for which there is no slot.
struct Accepting: ~Copyable {
    let listeners: FixedArray<ListenerSlot>
    /// Highest listener slot in use, plus one.
    var listenerCount = 0
    var isPaused = false
    var parked = ParkedClients()
    /// A connection has ended: a parked client may have its slot.
    var hasFreedSlot = false
    /// Some of those that may make room.
    var idle = IdleClients()

    init(listeners count: Int) { listeners = FixedArray(repeating: ListenerSlot(), count: count) }
}
