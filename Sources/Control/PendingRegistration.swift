internal import Registration
internal import TLS

/// A registration that nothing is wrong with.
struct JudgedRegistration {
    /// Without the certificate's text and its key.
    let definition: CanonicalDefinition
    /// What is left of these.
    let identity: Identity?
    /// What came behind it: the beginning of the session.
    let behind: [UInt8]
}

/// A connection at a control address whose registration is still under way.
final class PendingRegistration {
    enum Phase {
        /// The registration arrives.
        case reading
        /// The listener that it wants is about to be closed, and then opened anew.
        case waiting(JudgedRegistration)
        /// It has been told why not; what it still sends is dropped, for closing with unread bytes would take the
        /// sentence away again.
        case refused(bytesDropped: Int)
    }

    let id: UInt64
    let descriptor: OwnedDescriptor
    /// For the log.
    let peer: String
    var decoder = RegistrationDecoder()
    var phase = Phase.reading
    /// When patience ends, and when the peer was last heard of. On the control thread's clock.
    var deadline: UInt64
    var lastHeard: UInt64

    init(id: UInt64, descriptor: OwnedDescriptor, peer: String, now: UInt64) {
        self.id = id
        self.descriptor = descriptor
        self.peer = peer
        deadline = now + UInt64(RegistrationLimits.deadlineMilliseconds)
        lastHeard = now
    }

    /// The machine or user that it comes from.
    var host: String {
        if let colon = peer.lastIndex(of: ":") { return String(peer[..<colon]) }
        return peer.split(separator: " of ").last.map { String($0) } ?? peer
    }

    var source: EventSource { .registration(id: id) }

    var isWaiting: Bool {
        if case .waiting = phase { true } else { false }
    }

    var isRefused: Bool {
        if case .refused = phase { true } else { false }
    }
}

/// All registrations under way, bounded in number and in bytes.
struct PendingTable {
    /// How many there may be.
    let capacity: Int
    /// What their decoders may hold altogether: some registrations of the largest size, many of the usual one.
    static let byteLimit = 64 << 20
    /// How long a refused one may take to read why.
    static let lingerMilliseconds: UInt64 = 1_000
    /// What a refused one may still send: the largest registration there is.
    static let dropLimit = 4 << 20

    private var registrations: [UInt64: PendingRegistration] = [:]
    private var lastID: UInt64 = 0
    private var bytesHeld = 0
    /// Not later than the first deadline.
    private(set) var nextDeadline = UInt64.max

    init(capacity: Int) {
        self.capacity = capacity
    }

    var isFull: Bool { registrations.count >= capacity }
    var isOverByteLimit: Bool { bytesHeld > Self.byteLimit }
    var all: [PendingRegistration] { registrations.values.sorted { $0.id < $1.id } }

    subscript(id: UInt64) -> PendingRegistration? { registrations[id] }

    mutating func add(_ descriptor: OwnedDescriptor, peer: String, now: UInt64) -> PendingRegistration {
        lastID += 1
        let registration = PendingRegistration(id: lastID, descriptor: descriptor, peer: peer, now: now)
        registrations[lastID] = registration
        bytesHeld += registration.decoder.bufferedBytes
        nextDeadline = min(nextDeadline, registration.deadline)
        return registration
    }

    mutating func remove(_ registration: PendingRegistration) {
        guard registrations.removeValue(forKey: registration.id) != nil else { return }
        bytesHeld -= registration.decoder.bufferedBytes
        registration.decoder.wipe()
    }

    /// Lets the registration's decoder take bytes, and returns how many it took.
    mutating func receive(_ bytes: Span<UInt8>, for registration: PendingRegistration) -> Int {
        bytesHeld -= registration.decoder.bufferedBytes
        defer { bytesHeld += registration.decoder.bufferedBytes }
        return registration.decoder.receive(bytes)
    }

    /// Nothing more is read for it: it waits, or has its answer.
    mutating func move(_ registration: PendingRegistration, to phase: PendingRegistration.Phase, deadline: UInt64) {
        bytesHeld -= registration.decoder.bufferedBytes
        registration.decoder.wipe()
        registration.decoder = RegistrationDecoder()
        bytesHeld += registration.decoder.bufferedBytes
        registration.phase = phase
        registration.deadline = deadline
        nextDeadline = min(nextDeadline, deadline)
    }

    /// Those whose patience has ended. They have to be removed, or moved.
    mutating func expired(now: UInt64) -> [PendingRegistration] {
        guard nextDeadline <= now else { return [] }
        nextDeadline = registrations.values.lazy.map { $0.deadline }.filter { $0 > now }.min() ?? .max
        return all.filter { $0.deadline <= now }
    }

    /// Who has to go when one too many comes: one that has its answer, else the one that has been silent for longest.
    func leastPromising() -> PendingRegistration? {
        registrations.values.min { rank($0) < rank($1) }
    }

    private func rank(_ registration: PendingRegistration) -> (Int, UInt64, UInt64) {
        switch registration.phase {
        case .refused: (0, registration.lastHeard, registration.id)
        case .reading: (1, registration.lastHeard, registration.id)
        case .waiting: (2, registration.lastHeard, registration.id)
        }
    }

    /// Who has to go when there are too many bytes.
    func largest() -> PendingRegistration? {
        registrations.values.max { $0.decoder.bufferedBytes < $1.decoder.bufferedBytes }
    }
}
