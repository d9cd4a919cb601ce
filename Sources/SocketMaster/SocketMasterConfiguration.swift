public import struct NIOCore.TimeAmount

/// What a service may decide about its sessions. Everything has a default that fits most.
public struct SocketMasterConfiguration: Sendable {
    /// What the service calls itself in the proxy's log.
    public var name: String?
    /// How many sessions it registers, 1 to 256. Without a number it is one for each reactor of the proxy, so that the
    /// clients of the service are served on all its processors.
    public var sessions: Int?
    /// Whether a proxy may send an idempotent request over a stream that has carried one before. That spares a channel
    /// for each request, and is right for every server that understands keep-alive. HTTP only.
    public var reusesStreams = true
    /// Whether the proxy shall tell the client's address of each raw connection, which then is the channel's
    /// `remoteAddress`, and the one that the client connected to its `localAddress`. HTTP has `X-Forwarded-For`.
    public var wantsClientAddress = false
    /// The same wish, but a proxy that does not tell addresses will do as well: `remoteAddress` is its own then.
    public var prefersClientAddress = false
    /// Whether `listen` waits for a proxy that cannot be reached yet, instead of throwing. Once registered, a listener
    /// always waits for its proxy to come back.
    public var waitsForProxy = false
    /// The first pause between two attempts to reach the proxy; each one doubles it, and a part of it is random.
    public var reconnectDelay = TimeAmount.milliseconds(50)
    /// The longest of these pauses.
    public var maximumReconnectDelay = TimeAmount.seconds(1)
    /// How long connections may take to end once the listener is closed. Then they are reset.
    public var drainTimeout = TimeAmount.seconds(30)
    /// How far the receive window of a stream may grow, in bytes, 256 KiB to 16 MiB. That much may lie here for a
    /// connection that has been fast and is no longer read.
    public var maximumWindow = 4 << 20
    /// How much may all streams of a session have been granted beyond their first 256 KiB, in bytes.
    public var maximumExtraWindow = 64 << 20
    /// How many connections of clients a session takes at once. More are refused, and tried elsewhere by the proxy.
    public var maximumStreams = 65_536

    /// The defaults.
    public init() {}
}
