import Memory

/// How much waits, by route, by listener and in the process, and how much may. Where a listener or the process is full,
/// a route that has less waiting than another one takes a place from it (`Worker.enter`), so that one whose service
/// is stuck does not keep the others from restarting theirs. The last sixteenth of a listener and the last eighth of
/// the process are for routes that have hardly anything waiting.
public struct HoldShares: Sendable {
    /// What an attempt to wait came to.
    enum Verdict {
        case admitted
        case routeFull, listenerFull, processFull
    }

    private let routes: SharedWords
    private let listeners: SharedWords
    private let process: SharedWords
    private let limitOfRoute: UInt64
    private let limitOfListener: UInt64
    private let limitOfProcess: UInt64

    /// Routes are told apart by their number, of which so many lie between two that share a word.
    private static var routeWords: Int { @_noLocks get { 1 << 16 } }
    /// As much as so many routes may have waiting, a listener may.
    private static var routesOfListener: UInt64 { @_noLocks get { 16 } }

    private init(listeners count: Int, ofRoute: Int, ofProcess: Int) {
        routes = SharedWords(count: Self.routeWords + count)
        listeners = SharedWords(count: count)
        process = SharedWords(count: 1, isSpread: true)
        limitOfRoute = UInt64(ofRoute)
        let (product, isTooLarge) = limitOfRoute.multipliedReportingOverflow(by: Self.routesOfListener)
        limitOfListener = isTooLarge ? .max : product
        limitOfProcess = UInt64(ofProcess)
    }

    /// The address space that one takes.
    static func reservedBytes(listeners count: Int) -> Int { (routeWords + 2 * count) * MemoryLayout<UInt64>.stride }

    /// Clients.
    static func clients(_ limits: DataPlaneLimits) -> HoldShares {
        HoldShares(listeners: limits.listeners, ofRoute: limits.holdLimit, ofProcess: limits.connections)
    }

    /// What they have said, in bytes: a half of what may lie in blocks.
    static func bytes(_ limits: DataPlaneLimits) -> HoldShares {
        HoldShares(listeners: limits.listeners, ofRoute: limits.holdBytes, ofProcess: limits.bufferBytes / 2)
    }

    /// Where a route's share is counted.
    /// Routes that nobody has registered yet share one, those of a listener.
    @_noLocks
    static func place(of route: SoughtRoute, listener: Int) -> Int {
        switch route {
        case .unknown: routeWords + listener
        case .known(let id): Int(id) & (routeWords - 1)
        }
    }

    /// Adds to what waits for the route, if it may.
    /// - Parameter isOnly: there is no other route, for which an eighth would have to be left.
    @_noLocks
    func enter(_ amount: UInt64, place: Int, listener: Int, isOnly: Bool) -> Verdict {
        let verdict = judge(amount, place, listener, isOnly)
        if case .admitted = verdict { return verdict }
        leave(amount, place: place, listener: listener)
        return verdict
    }

    private func judge(_ amount: UInt64, _ place: Int, _ listener: Int, _ isOnly: Bool) -> Verdict {
        let onRoute = routes.add(amount, at: place)
        let onListener = listeners.add(amount, at: listener)
        let inProcess = process.add(amount, at: 0)
        if onRoute > limitOfRoute { return .routeFull }
        // The last places are for those who have hardly any.
        let isSmall = onRoute <= max(amount, min(limitOfRoute / Self.routesOfListener, limitOfProcess / 64))
        if onListener > limitOfListener - (isSmall ? 0 : limitOfListener / Self.routesOfListener) {
            return .listenerFull
        }
        return inProcess > limitOfProcess - (isSmall || isOnly ? 0 : limitOfProcess / 8) ? .processFull : .admitted
    }

    /// What waits for a route, whatever may: who was let in before goes on waiting elsewhere.
    @_noLocks
    func enterAgain(_ amount: UInt64, place: Int, listener: Int) {
        _ = routes.add(amount, at: place)
        _ = listeners.add(amount, at: listener)
        _ = process.add(amount, at: 0)
    }

    /// It waits no more.
    @_noLocks
    func leave(_ amount: UInt64, place: Int, listener: Int) {
        _ = routes.subtract(amount, at: place)
        _ = listeners.subtract(amount, at: listener)
        _ = process.subtract(amount, at: 0)
    }

    /// What waits for the route that is counted there.
    @_noLocks
    func onRoute(_ place: Int) -> UInt64 { routes.loadRelaxed(place) }
    /// What waits on a listener.
    public func onListener(_ listener: Int) -> UInt64 { listeners.load(listener) }
    /// What waits in the process.
    public var inProcess: UInt64 { process.load(0) }
}
