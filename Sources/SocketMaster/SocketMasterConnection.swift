public import NIOCore
import Synchronization

/// A connection of a client, for services that want bytes and no pipelines. If it is let go without having been served,
/// the client's connection is reset.
public struct SocketMasterConnection: Sendable {
    /// The channel behind it, for options and for `ResetConnection`.
    public let channel: any Channel
    private let streams: ConnectionStreams

    /// The client's address if the proxy tells it (`SocketMasterConfiguration.wantsClientAddress`), else the proxy's.
    public var remoteAddress: SocketAddress? { channel.remoteAddress }

    /// Gives the connection's bytes to a function, and closes the connection when that returns or throws. What it has
    /// written is sent first.
    ///
    /// ```swift
    /// try await connection.executeThenClose { inbound, outbound in
    ///     for try await bytes in inbound { try await outbound.write(bytes) }
    /// }
    /// ```
    ///
    /// `inbound` ends when the client has ended its side, and `outbound` may go on then; `outbound.finish()` ends this
    /// side while the client's goes on. Both throw if the connection is reset, or the proxy is lost.
    public func executeThenClose<Result>(
        isolation actor: isolated (any Actor)? = #isolation,
        _ body: (
            _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
            _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        ) async throws -> sending Result
    ) async throws -> sending Result {
        try await streams.executeThenClose(isolation: actor, body)
    }

    static func initialize(_ channel: any Channel) -> EventLoopFuture<SocketMasterConnection> {
        channel.eventLoop.makeCompletedFuture {
            try channel.syncOptions?.setOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            let streams = try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
            return SocketMasterConnection(channel: channel, streams: ConnectionStreams(streams))
        }
    }
}

/// The two directions of a connection. If the connection is let go without having been served, because nobody takes
/// connections any more or its taker does not want it, it is reset.
private final class ConnectionStreams: Sendable {
    private let streams: NIOAsyncChannel<ByteBuffer, ByteBuffer>
    private let isServed = Atomic<Bool>(false)

    init(_ streams: NIOAsyncChannel<ByteBuffer, ByteBuffer>) { self.streams = streams }

    deinit {
        guard !isServed.load(ordering: .acquiring) else { return }
        InitializedConnection(output: streams, channel: streams.channel).abandon()
    }

    func executeThenClose<Result>(
        isolation actor: isolated (any Actor)?,
        _ body: (
            _ inbound: NIOAsyncChannelInboundStream<ByteBuffer>,
            _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
        ) async throws -> sending Result
    ) async throws -> sending Result {
        isServed.store(true, ordering: .releasing)
        return try await streams.executeThenClose(isolation: actor, body)
    }
}
