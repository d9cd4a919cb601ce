import Logging
public import NIOCore

/// A published service: the sequence of its connections, without an end until it is closed.
///
/// ```swift
/// let listener = try await SocketMasterBootstrap().listen(SocketDefinition(port: 9000))
/// try await listener.serve { connection in
///     try await connection.executeThenClose { inbound, outbound in
///         for try await bytes in inbound { try await outbound.write(bytes) }
///     }
/// }
/// ```
public struct SocketMasterListener: AsyncSequence, Sendable {
    public typealias Element = SocketMasterConnection
    public typealias Failure = Never

    /// The channel that stands for the published port.
    public let channel: any Channel
    let connections: ConnectionSequence
    let log: Logger

    /// The port that clients connect to, if the proxy tells it.
    public var port: Int? { channel.localAddress?.port }

    /// Takes connections, one after another. One iterator can be made.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: ConnectionSequence.Producer.AsyncIterator

        /// The next connection; `nil` when the listener has been closed, or the task is cancelled.
        public mutating func next() async -> SocketMasterConnection? { await base.next() }
    }

    /// Begins to take connections.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: connections.sequence.makeAsyncIterator())
    }

    /// Serves every connection in a task of its own until the listener is closed or the task is cancelled, and returns
    /// when all of them have ended. What a connection throws ends that connection alone.
    public func serve(_ body: @escaping @Sendable (SocketMasterConnection) async throws -> Void) async {
        let log = log
        await withDiscardingTaskGroup { group in
            for await connection in self {
                group.addTask {
                    do {
                        try await body(connection)
                    } catch {
                        log.debug("a connection has ended", metadata: ["error": "\(error)"])
                    }
                }
            }
            // To have no more connections is to be closed, or to be cancelled.
            channel.close(promise: nil)
        }
        await closed()
    }

    /// Takes the service away from its proxy, for as long as what it needs is away. See `WithdrawService`. Returns when
    /// the proxy has been told.
    /// - Throws: `ChannelError.alreadyClosed`
    public func withdraw() async throws { try await channel.triggerUserOutboundEvent(WithdrawService()).get() }

    /// Has a service registered again that has been withdrawn. See `PublishAgain`.
    /// - Throws: `ChannelError.alreadyClosed`
    public func publishAgain() async throws { try await channel.triggerUserOutboundEvent(PublishAgain()).get() }

    /// Closes the listener in good order: no new connections, and those that are under way may end within
    /// `SocketMasterConfiguration.drainTimeout`. Returns when all is over.
    public func close() async {
        channel.close(promise: nil)
        await closed()
    }

    private func closed() async { try? await channel.closeFuture.get() }
}
