/// The ids of the streams that this side opens. They go round: behind the highest comes the first one again, because
/// the other side only looks whether an id is in use at that moment (hashicorp/yamux, `incomingStream`).
///
/// Openings are counted by positions of 64 bits, which never go round; the lower bits of a position are its id. What
/// came first is asked of positions, never of ids.
@frozen @usableFromInline struct StreamIDs: Sendable {
    /// The bits of ids. One lap of positions is larger by one.
    let mask: UInt32
    /// The first opening.
    let first: UInt64
    /// The opening that comes next.
    private(set) var next: UInt64
    /// The last position at which nothing was opened because its id was in use; 0 if there was none.
    private(set) var lastPassedOver: UInt64
    /// Where the half lap ends in which `next` lies.
    private var halfEnd: UInt64
    // Ids that must not come again before a ping has been answered, by where they come: in this half lap, in the
    // following one, or in the one behind that, of which they are the beginning.
    private var ahead: QuarantinedIDs
    private var following: QuarantinedIDs
    private var behind: QuarantinedIDs

    @_noLocks
    init(first id: UInt32, bits: UInt8) {
        precondition(bits >= 6 && bits <= 32, "ids have 6 to 32 bits")
        mask = UInt32.max >> (32 - UInt32(bits))
        precondition(id != 0 && id & ~mask == 0, "an id that does not fit its bits")
        // A lap lies before the first one, so that any position of a lap ago is a number.
        first = UInt64(mask) + 1 + UInt64(id)
        next = first
        lastPassedOver = 0
        let half = (UInt64(mask) + 1) / 2
        halfEnd = (first / half + 1) * half
        ahead = QuarantinedIDs()
        following = QuarantinedIDs()
        behind = QuarantinedIDs()
    }

    private var lap: UInt64 { @_noLocks get { UInt64(mask) + 1 } }

    /// The id that the next opening would have.
    var nextID: UInt32 { @_noLocks get { UInt32(truncatingIfNeeded: next) & mask } }

    /// Whether an id that comes next may have been used before.
    var haveGoneRound: Bool { @_noLocks get { next - first >= lap } }

    /// The latest position with that id before `next`: where it was opened last, or passed over since.
    @_noLocks
    func position(of id: UInt32) -> UInt64 {
        next - UInt64((UInt32(truncatingIfNeeded: next) &- id &- 2) & mask) - 2
    }

    /// Whether there has been an opening with that id.
    @_noLocks
    func haveBegun(_ id: UInt32) -> Bool {
        id & ~mask == 0 && position(of: id) >= first
    }

    /// The id of an opening that takes place now.
    @_noLocks
    mutating func take() -> UInt32 {
        let id = nextID
        advance()
        return id
    }

    /// The next id is in use.
    @_noLocks
    mutating func passOver() {
        lastPassedOver = next
        advance()
    }

    private mutating func advance() {
        next += 2
        // 0 is the session's own.
        if nextID == 0 { next += 2 }
        if next >= halfEnd { enterHalf() }
    }

    @inline(never)
    private mutating func enterHalf() {
        halfEnd += lap / 2
        ahead = following
        following = behind
        behind = QuarantinedIDs()
    }

    /// Something of a stream with this id may be on its way to us until `ping`, which has not been sent yet, is
    /// answered. `oldestPing` is the first ping without an answer.
    @_noLocks
    mutating func quarantine(_ id: UInt32, ping: UInt64, oldestPing: UInt64) {
        let comesAgain = position(of: id) + lap
        if comesAgain < halfEnd {
            ahead.add(comesAgain, ping: ping, oldestPing: oldestPing)
        } else if comesAgain < halfEnd + lap / 2 {
            following.add(comesAgain, ping: ping, oldestPing: oldestPing)
        } else {
            behind.add(comesAgain, ping: ping, oldestPing: oldestPing)
        }
        assert(next < halfEnd && comesAgain >= next && comesAgain < next + lap)
    }

    /// Whether the next id is one that must not come again yet, as far as can be told.
    @_noLocks
    func isQuarantined(oldestPing: UInt64) -> Bool {
        next >= ahead.from && ahead.ping >= oldestPing
    }

    /// The ping that ends the quarantine of the next id.
    var awaitedPing: UInt64 { @_noLocks get { ahead.ping } }
}

/// Ids that must not come again before a ping has been answered: constant memory for any number of them. An id may
/// wait longer than it has to, never shorter.
@frozen @usableFromInline struct QuarantinedIDs: Sendable {
    /// The first position at which one of them would come again.
    var from: UInt64
    /// The last ping that one of them waits for; 0, which counts as answered, if there are none.
    var ping: UInt64

    @_noLocks
    init() {
        from = .max
        ping = 0
    }

    @_noLocks
    mutating func add(_ position: UInt64, ping: UInt64, oldestPing: UInt64) {
        let isEmpty = self.ping < oldestPing
        if isEmpty || position < from { from = position }
        self.ping = ping
    }
}

/// The ids of the streams that the other side has opened: which have there been? They go round as ours do, and the
/// first may be any.
@frozen @usableFromInline struct ForeignIDs: Sendable {
    /// Positions as in `StreamIDs`: the earliest and the latest opening; 0 if there was none.
    private var earliest: UInt64 = 0
    private var latest: UInt64 = 0

    @_noLocks
    init() {}

    /// Takes the id of a SYN. Ids do not necessarily come in order: Go services take the id first and send the SYN
    /// later, on several threads. So one counts as later or as earlier by which way is shorter.
    @_noLocks
    mutating func open(_ id: UInt32) {
        guard latest != 0 else {
            latest = 1 << 32 + UInt64(id)
            earliest = latest
            return
        }
        let distance = Int32(bitPattern: id &- UInt32(truncatingIfNeeded: latest))
        let position = distance < 0 ? latest - UInt64(distance.magnitude) : latest + UInt64(distance.magnitude)
        if position > latest { latest = position }
        if position < earliest { earliest = position }
    }

    /// Whether a stream with that id may have been opened: if the ids have gone round, every one may.
    @_noLocks
    func haveBegun(_ id: UInt32) -> Bool {
        latest != 0 && latest - UInt64(UInt32(truncatingIfNeeded: latest) &- id) >= earliest
    }
}
