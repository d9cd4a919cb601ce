public import struct NIOCore.TimeAmount
import Registration

/// What a service may decide about its sessions. Everything has a default that fits most.
public struct SocketMasterConfiguration: Sendable {
    /// What the service calls itself in the proxy's log.
    public var name: String?
    /// Which program the service is: any text that is no other program's, 32 hexadecimal digits at random for example.
    /// What a session of one program has lost is tried at another program first. Without it the process is one.
    public var instance: String?
    /// Attributes that this library does not know, for a proxy that does. Those that it knows are ignored here: each
    /// has a property of its own.
    public var attributes: [String: String] = [:]
    /// How many sessions it registers, 1 to 256. Without a number it is one for each reactor of the proxy, so that the
    /// clients of the service are served on all its processors.
    public var sessions: Int?
    /// Whether a proxy may send an idempotent request over a stream that has carried one before. That spares a channel
    /// for each request, and is right for every server that understands keep-alive. HTTP only.
    public var reusesStreams = true
    /// Whether the proxy marks requests (RFC 8586) and answers one that has come back three times with 508: for
    /// services that pass requests on to what may be a proxy in front of this one. HTTP only.
    public var marksLoops = false
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

extension SocketMasterConfiguration: CustomReflectable {
    /// Of attributes that the library does not know only how long they are, for they may be tokens.
    public var customMirror: Mirror {
        Mirror(
            self,
            children: [
                "name": name?.withoutKeys as Any, "instance": instance?.withoutKeys as Any,
                "attributes": RegistrationAttribute.shown(attributes),
                "sessions": sessions as Any, "reusesStreams": reusesStreams, "marksLoops": marksLoops,
                "wantsClientAddress": wantsClientAddress, "prefersClientAddress": prefersClientAddress,
                "waitsForProxy": waitsForProxy, "reconnectDelay": reconnectDelay,
                "maximumReconnectDelay": maximumReconnectDelay, "drainTimeout": drainTimeout,
                "maximumWindow": maximumWindow, "maximumExtraWindow": maximumExtraWindow,
                "maximumStreams": maximumStreams,
            ], displayStyle: .struct)
    }
}
