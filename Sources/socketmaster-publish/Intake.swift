internal import NIOCore
internal import NIOPosix
internal import SocketMaster

/// What becomes of a client's connection: one to the target, and the bytes between both.
struct Intake: Sendable {
    let target: Target
    let watch: TargetWatch
    let loops: LoopWatch
    let isHTTP: Bool
    let sendsHeader: Bool

    /// Connects a client's connection to the target. As long as that is not done nothing of the client has been
    /// accepted, and the proxy may give it to somebody else. That is what it has to do if it fails.
    func take(_ client: any Channel) -> EventLoopFuture<Void> {
        if let withdrawal = watch.withdrawal(of: client) { return refuse(after: withdrawal) }
        loops.look(at: client.parent)
        guard isHTTP || loops.admits(client) else { return reset(client) }
        let start = ContinuousClock.now
        return target.connect(on: client.eventLoop) { bootstrap in
            // For each address that is tried, and each attempt.
            bootstrap.channelOption(.allowRemoteHalfClosure, value: true).channelInitializer { target in
                target.eventLoop.makeCompletedFuture {
                    if isHTTP { try target.pipeline.syncOperations.addHandler(HeadHold()) }
                    try target.pipeline.syncOperations.addHandler(relay(for: client))
                }
            }
        }.flatMap { target in
            guard isHTTP || loops.admits(client, to: target) else {
                target.close(promise: nil)
                return reset(client)
            }
            return client.eventLoop.makeCompletedFuture { try join(client, target) }
        }.flatMapError { error in
            guard let absence = error as? Target.Absence else { return brokenOff(client, error) }
            return watch.isAway(absence, client, since: start).flatMapThrowing { throw absence }
        }
    }

    /// Nothing of the client has been passed on. The proxy may give a request to somebody else; who is connected to a
    /// target that resets has a reset connection.
    private func brokenOff(_ client: any Channel, _ error: any Error) -> EventLoopFuture<Void> {
        watch.look(for: client).flatMap {
            if isHTTP || watch.isAway { return client.eventLoop.makeFailedFuture(error) }
            return reset(client)
        }
    }

    private func relay(for client: any Channel) -> Relay {
        guard isHTTP else { return Relay(toTarget: nil) }
        return Relay(toTarget: { isAwaited in isAwaited ? watch.look(for: client) : watch.glance(for: client) })
    }

    private func join(_ client: any Channel, _ target: any Channel) throws {
        let relay = try target.pipeline.syncOperations.handler(type: Relay.self).makeOther()
        if sendsHeader { target.write(ProxyHeader.make(for: client), promise: nil) }
        try client.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        do {
            if !isHTTP { try client.pipeline.syncOperations.addHandler(PassedAddress(admits: loops.admits(passed:))) }
            try client.pipeline.syncOperations.addHandler(relay)
        } catch {
            target.close(promise: nil)
            throw error
        }
        if sendsHeader { target.flush() }
        // Its end may have come in the meantime, and then waits to be read.
        target.read()
    }

    private func refuse(after withdrawal: EventLoopFuture<Void>) -> EventLoopFuture<Void> {
        let absence = Target.Absence(clause: "is away")
        return withdrawal.flatMapThrowing { throw absence }
    }

    /// Accepts the connection and ends it, so that nobody tries it elsewhere.
    private func reset(_ client: any Channel) -> EventLoopFuture<Void> {
        client.eventLoop.execute { client.triggerUserOutboundEvent(ResetConnection(), promise: nil) }
        return client.eventLoop.makeSucceededVoidFuture()
    }
}
