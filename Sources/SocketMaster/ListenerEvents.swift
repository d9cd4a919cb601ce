/// Triggered on a listener's channel by `triggerUserOutboundEvent`, it takes the service away from its proxy until
/// `PublishAgain`: for a service that can do nothing while something that it needs is away, and lives on meanwhile.
///
/// The proxy is told that no new connections are wanted. Those that the application has go on for as long as they take;
/// those whose initializer has not run yet, or is still running and has written nothing, go back to the proxy. They and
/// whoever comes meanwhile get another program that serves the same, or wait for as long as the proxy holds them. The
/// promise is fulfilled when the proxy has been told on every session. It fails with `ChannelError.alreadyClosed` if
/// the listener is closed.
public struct WithdrawService: Hashable, Sendable {
    /// The event has no parameters.
    public init() {}
}

/// Triggered on a listener's channel, it ends what `WithdrawService` began: the service is registered again, and tries
/// for as long as there is no proxy. The promise is fulfilled when that has begun.
public struct PublishAgain: Hashable, Sendable {
    /// The event has no parameters.
    public init() {}
}
