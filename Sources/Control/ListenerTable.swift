internal import Registration
internal import TLS

/// Where clients connect. Hashable, so that what is written differently and means the same is one listener.
struct PublicAddress: Hashable, Sendable, CustomStringConvertible {
    var address: ListenAddress
    /// Never 0.
    var port: UInt16

    var description: String { "\(address):\(port)" }
}

/// Public ports in numbered slots, which reactors know them by.
///
/// A slot is given out again only when every reactor has closed its socket, and then with the next generation: whatever
/// is late for the old listener is recognised.
struct ListenerTable {
    struct Listener {
        enum Phase: Equatable {
            case open
            /// Reactors still close their sockets.
            case closing
        }

        let address: PublicAddress
        let generation: UInt32
        var phase = Phase.open
        var routes: [ClientPattern: UInt32] = [:]
        /// Somebody has registered for it by its number. One that nobody has named has its number from the kernel.
        var isNamed = false
        /// Since when all its routes are held, and the peer whose session was the last one.
        var held: (since: UInt64, by: String)?
        /// What its clients choose from; nil: they do not speak TLS.
        var certificates: IdentityTable?
        /// Certificates have come or gone since it was made.
        var hasNewCertificates = false
        /// Certificates for the same names of which the log has told.
        var toldOverlaps: Set<CertificatePair> = []

        /// Whether every client has to say something before anybody can say something to it.
        var clientsSpeakFirst: Bool { certificates != nil || routes[.raw] == nil }
    }

    /// What there is at an address.
    enum Place: Equatable {
        case nothing
        case open(slot: Int)
        /// It has to be waited until every reactor has closed its socket.
        case closing
        /// Another listener would take some of its clients.
        case overlapped(slot: Int)
    }

    private var slots: [Listener?] = []
    /// The last one of each slot, 0 before the first.
    private var generations: [UInt32] = []
    private var slotsByPort: [UInt16: [Int]] = [:]

    subscript(slot: Int) -> Listener? {
        get { slots.indices.contains(slot) ? slots[slot] : nil }
        set { slots[slot] = newValue }
    }

    var count: Int { slots.reduce(0) { $0 + ($1 == nil ? 0 : 1) } }

    var open: [(slot: Int, listener: Listener)] { all(in: .open) }
    var closing: [(slot: Int, listener: Listener)] { all(in: .closing) }

    private func all(in phase: Listener.Phase) -> [(slot: Int, listener: Listener)] {
        slots.enumerated().compactMap { slot, listener in
            guard let listener, listener.phase == phase else { return nil }
            return (slot, listener)
        }
    }

    func place(for address: PublicAddress) -> Place {
        var overlapped = Place.nothing
        for slot in slotsByPort[address.port] ?? [] {
            guard let listener = slots[slot], listener.address.address.overlaps(address.address) else { continue }
            if listener.phase == .closing {
                return .closing
            } else if listener.address == address {
                return .open(slot: slot)
            }
            overlapped = .overlapped(slot: slot)
        }
        return overlapped
    }

    /// The lowest free slot, because the snapshot has a record for each one up to the highest, or nil.
    func freeSlot(limit: Int) -> Int? {
        let slot = slots.firstIndex { $0 == nil } ?? slots.count
        return slot < limit ? slot : nil
    }

    /// Takes a free slot for a listener, and returns its generation, which is never 0.
    mutating func open(_ address: PublicAddress, slot: Int) -> UInt32 {
        if slot == slots.count {
            slots.append(nil)
            generations.append(0)
        }
        precondition(slots[slot] == nil, "the slot is in use")
        generations[slot] = generations[slot] == .max ? 1 : generations[slot] + 1
        slots[slot] = Listener(address: address, generation: generations[slot])
        slotsByPort[address.port, default: []].append(slot)
        return generations[slot]
    }

    mutating func free(_ slot: Int) {
        guard let listener = slots[slot] else { preconditionFailure("the slot is free already") }
        precondition(listener.phase == .closing && listener.routes.isEmpty)
        slots[slot] = nil
        slotsByPort[listener.address.port]?.removeAll { $0 == slot }
        if slotsByPort[listener.address.port]?.isEmpty == true { slotsByPort[listener.address.port] = nil }
    }
}
