internal import Proxy
internal import Registration

/// Whose figures a slot has: a route, whenever somebody registers it.
struct FigureOwner: Hashable, Sendable {
    let address: PublicAddress
    let pattern: ClientPattern
}

/// Slots for the figures of routes, of which there are a fixed number: beyond it routes share one. Pure: whether
/// anything is under way at a slot is told.
///
/// A slot whose route is gone is kept until nobody can count there any more and its last figures have been scraped, or
/// nobody has come for them in five minutes. The route gets it back if it returns before that.
struct FigureSlots {
    /// For how long figures of a route that is gone are kept for somebody who scrapes them.
    static let keptMilliseconds: UInt64 = 300_000

    enum Phase: Equatable {
        case used
        /// The route is gone, and the next snapshot is the first one without it.
        case leaving(since: UInt64)
        /// Since when, and that snapshot's generation.
        case left(since: UInt64, generation: UInt64)
        /// Nothing is counted any more. Whether the last figures have been scraped since.
        case quiet(since: UInt64, isScraped: Bool)
    }

    struct Slot: Equatable {
        let owner: FigureOwner
        var phase = Phase.used
    }

    private(set) var slots: [UInt16: Slot] = [:]
    private var slotsByOwner: [FigureOwner: UInt16] = [:]
    private var free: [UInt16]
    /// Slots of routes that are gone.
    private var departed: Set<UInt16> = []

    /// - Parameter count: how many routes have a slot of their own.
    init(count: Int) {
        let first = RouteCounter.firstSlot
        free = (first..<(first + count)).reversed().map { UInt16($0) }
    }

    /// A slot for a route that has just been registered. One that shares a slot does so until it is registered anew.
    mutating func take(for owner: FigureOwner) -> UInt16 {
        if let slot = slotsByOwner[owner] {
            slots[slot]?.phase = .used
            departed.remove(slot)
            return slot
        }
        guard let slot = free.popLast() else { return UInt16(RouteCounter.slotOfOthers) }
        slots[slot] = Slot(owner: owner)
        slotsByOwner[owner] = slot
        assert(isConsistent)
        return slot
    }

    /// Nobody registers the route any more.
    mutating func giveBack(_ slot: UInt16, now: UInt64) {
        guard slots[slot] != nil else { return }
        slots[slot]?.phase = .leaving(since: now)
        departed.insert(slot)
    }

    /// A snapshot without the routes that are gone has been published.
    mutating func published(generation: UInt64) {
        for slot in departed {
            guard case .leaving(let since) = slots[slot]?.phase else { continue }
            slots[slot]?.phase = .left(since: since, generation: generation)
        }
    }

    /// Looks which slots nobody can count at any more.
    /// - Parameters:
    ///   - oldest: the generation of the oldest snapshot that reactors may read.
    ///   - isIdle: whether nothing is under way at a slot.
    mutating func settle(oldest: UInt64, isIdle: (UInt16) -> Bool) {
        for slot in departed {
            guard case .left(let since, let generation) = slots[slot]?.phase else { continue }
            if oldest >= generation, isIdle(slot) { slots[slot]?.phase = .quiet(since: since, isScraped: false) }
        }
    }

    /// The figures that these slots had when they were quiet have been scraped.
    mutating func scraped(_ told: [UInt16: FigureOwner]) {
        for (slot, owner) in told {
            guard slots[slot]?.owner == owner, case .quiet(let since, _) = slots[slot]?.phase else { continue }
            slots[slot]?.phase = .quiet(since: since, isScraped: true)
        }
    }

    /// Slots that are free again, with figures that have to be cleared.
    /// - Parameter isScrape: whether a monitoring system is told next. It has to see that they are gone: a route that
    ///   returned between two scrapes would have fallen to 0.
    mutating func takeEnded(now: UInt64, isScrape: Bool) -> [UInt16] {
        let ended = departed.filter { slot in
            guard case .quiet(let since, let isScraped) = slots[slot]?.phase else { return false }
            return isScraped && isScrape || now >= since + Self.keptMilliseconds
        }
        for slot in ended {
            departed.remove(slot)
            if let owner = slots.removeValue(forKey: slot)?.owner { slotsByOwner[owner] = nil }
            free.append(slot)
        }
        assert(isConsistent)
        return ended.sorted()
    }

    /// Slots that are quiet, with their owners.
    var quiet: [UInt16: FigureOwner] {
        var quiet: [UInt16: FigureOwner] = [:]
        for slot in departed {
            if let entry = slots[slot], case .quiet = entry.phase { quiet[slot] = entry.owner }
        }
        return quiet
    }

    /// The next new route will share a slot.
    var areAllTaken: Bool { free.isEmpty }

    /// Routes are gone whose slots have not been given back.
    var hasDeparted: Bool { !departed.isEmpty }

    private var isConsistent: Bool {
        slots.count == slotsByOwner.count && slotsByOwner.allSatisfy { slots[$1]?.owner == $0 }
            && free.allSatisfy { slots[$0] == nil }
            && departed.allSatisfy { slots[$0] != nil && slots[$0]?.phase != .used }
    }
}
