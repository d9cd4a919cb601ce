/// Sent down the pipeline of a connection's channel by `triggerUserOutboundEvent`, it ends the connection at once in
/// both directions: the client sees a reset, whatever has not gone out yet is given up, and the channel closes.
public struct ResetConnection: Hashable, Sendable {
    /// The event has no parameters.
    public init() {}
}
