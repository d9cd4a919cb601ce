internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
internal import SocketMaster

/// Whether the target takes connections, and what follows: while it does not, nothing is registered, and it is asked
/// again and again. What a proxy has not been told we have accepted goes back to it in the meantime.
final class TargetWatch: Sendable {
    private let target: Target
    private let log: Logger
    private let state = NIOLockedValueBox(State())

    fileprivate struct State {
        var isAway = false
        var hasEnded = false
        /// The published ports.
        var listeners: [ObjectIdentifier: any Channel] = [:]
        var pause = TargetWatch.shortestPause
        var backSince = ContinuousClock.now
        var glance: EventLoopFuture<Void>?
        /// Nothing since the target has come.
        var lastGlance: ContinuousClock.Instant?
    }

    private static let shortestPause = Duration.milliseconds(10)
    private static let longestPause = Duration.milliseconds(250)
    /// A target that has been there for less is asked at the same long intervals as before.
    private static let steadyAfter = Duration.seconds(5)

    /// Between two glances at a target that ends its connections.
    private static let glancePause = Duration.milliseconds(100)
    /// How long a connection has to stay open, so that the target counts as alive.
    fileprivate static let lookTime = TimeAmount.milliseconds(25)
    private static let glanceTime = TimeAmount.milliseconds(3)

    init(_ target: Target, log: Logger) {
        self.target = target
        self.log = log
    }

    /// A port has been published. It has not been if the target went meanwhile.
    func add(_ listener: any Channel) {
        state.withLockedValue { state in
            state.listeners[ObjectIdentifier(listener)] = listener
            if state.isAway { listener.triggerUserOutboundEvent(WithdrawService(), promise: nil) }
        }
    }

    /// The program ends: nothing is published again.
    func end() { state.withLockedValue { $0.hasEnded = true } }

    /// Waits until the target takes connections.
    /// - Throws: `Absence` if it does not within that time.
    func awaitTarget(within timeout: Duration?) async throws {
        let start = ContinuousClock.now
        var pause = Self.shortestPause
        var isTold = false
        while let absence = await target.absence() {
            try Task.checkCancellation()
            if let timeout, start.duration(to: .now) > timeout { throw absence }
            if !isTold { log.info("waiting for the target: \(target.address) \(absence.clause)") }
            isTold = true
            try await Task.sleep(for: pause)
            pause = min(pause * 2, Self.longestPause)
        }
    }

    /// Looks whether the target is still there, on behalf of a connection that it has broken off.
    /// - Returns: Fulfilled when that is known and, if it is not there, the proxy has been told.
    func look(for client: any Channel, proofOfLife: TimeAmount = TargetWatch.lookTime) -> EventLoopFuture<Void> {
        if let withdrawal = withdrawal(of: client) { return withdrawal }
        let start = ContinuousClock.now
        return target.absence(on: client.eventLoop, proofOfLife: proofOfLife).flatMap { absence in
            guard let absence else { return client.eventLoop.makeSucceededVoidFuture() }
            return self.isAway(absence, client, since: start)
        }
    }

    /// The same for a connection that it has ended while nobody waited for it. A program does so that dies, and one
    /// that ends each connection, which is therefore not asked each time, and not for long.
    /// - Returns: Nothing if it has been asked just now.
    func glance(for client: any Channel) -> EventLoopFuture<Void>? {
        let promise = client.eventLoop.makePromise(of: Void.self)
        let (glance, isOurs) = state.withLockedValue { state -> (EventLoopFuture<Void>?, Bool) in
            if let glance = state.glance { return (glance, false) }
            if let last = state.lastGlance, last.duration(to: .now) < Self.glancePause { return (nil, false) }
            state.glance = promise.futureResult
            return (promise.futureResult, true)
        }
        guard isOurs else {
            promise.succeed()
            return glance?.hop(to: client.eventLoop)
        }
        look(for: client, proofOfLife: Self.glanceTime).whenComplete { _ in
            self.state.withLockedValue { state in
                state.glance = nil
                state.lastGlance = .now
            }
            promise.succeed()
        }
        return glance
    }

    var isAway: Bool { state.withLockedValue { $0.isAway } }

    /// Nothing if the target is there as far as is known; else as `isAway`.
    func withdrawal(of client: any Channel) -> EventLoopFuture<Void>? {
        state.withLockedValue { state in state.isAway ? state.withdraw(client) : nil }
    }

    /// The target has not taken a connection: it is withdrawn.
    /// - Parameter start: When it was asked for the connection.
    /// - Returns: Fulfilled when the proxy has been told, so that it does not bring again what it gets back.
    func isAway(
        _ absence: Target.Absence, _ client: any Channel, since start: ContinuousClock.Instant
    ) -> EventLoopFuture<Void> {
        let (isNews, told) = state.withLockedValue { state in
            // It has been away and back meanwhile, and the client's connection has been given back already.
            guard state.isAway || start >= state.backSince else {
                return (false, client.eventLoop.makeSucceededVoidFuture())
            }
            let isNews = !state.isAway && !state.hasEnded
            state.isAway = true
            return (isNews, state.withdraw(client))
        }
        if isNews {
            log.warning("\(target.address) \(absence.clause); withdrawn until it takes connections again")
            Task { await comeBack() }
        }
        return told
    }

    private func comeBack() async {
        var pause = state.withLockedValue { state in
            let isSteady = state.backSince.duration(to: .now) > Self.steadyAfter
            return isSteady ? Self.shortestPause : state.pause
        }
        repeat {
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, Self.longestPause)
        } while await target.absence() != nil
        let isWanted = state.withLockedValue { state in
            state.pause = pause
            state.backSince = .now
            state.lastGlance = nil
            state.isAway = false
            guard !state.hasEnded else { return false }
            for listener in state.listeners.values { listener.triggerUserOutboundEvent(PublishAgain(), promise: nil) }
            return true
        }
        if isWanted { log.info("\(target.address) is back") }
    }
}

extension TargetWatch.State {
    /// Called within the lock, as everything that is said to the listeners: each is told last what holds now.
    fileprivate mutating func withdraw(_ client: any Channel) -> EventLoopFuture<Void> {
        // The first connections may be quicker than the news that their port is published.
        if let parent = client.parent { listeners[ObjectIdentifier(parent)] = parent }
        // One that is closed says GoAway as well.
        let told = listeners.values.map { $0.triggerUserOutboundEvent(WithdrawService()) }
        return EventLoopFuture.andAllComplete(told, on: client.eventLoop)
    }
}
