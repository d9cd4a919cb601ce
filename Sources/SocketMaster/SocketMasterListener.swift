import Logging
public import NIOCore

/// A published service: the sequence of its connections, without an end until it is closed. It closes by itself when it
/// is let go, and when whoever iterates over it stops: keep it for as long as the service is to be reached.
///
/// ```swift
/// let listener = try await SocketMasterBootstrap().listen(SocketDefinition(port: 9000))
/// await listener.serve { connection in
///     try await connection.executeThenClose { inbound, outbound in
///         for try await bytes in inbound { try await outbound.write(bytes) }
///     }
/// }
/// ```
///
/// `Connection` is ``SocketMasterConnection``, or what the initializer of a pipeline gives. What lies in the sequence
/// when it is let go is reset, unless the initializer gives nothing: then the handlers serve it.
public struct SocketMasterListener<Connection: Sendable>: AsyncSequence, Sendable {
    public typealias Element = Connection
    public typealias Failure = Never

    /// The channel that stands for the published port.
    public let channel: any Channel
    let connections: ConnectionSequence<Connection>
    let log: Logger

    /// The port that clients connect to, if the proxy tells it.
    public var port: Int? { channel.localAddress?.port }

    /// Takes connections, one after another. One iterator can be made.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var base: ConnectionSequence<Connection>.Producer.AsyncIterator
        let channel: any Channel

        /// The next connection; `nil` when the listener has been closed, or the task is cancelled.
        public mutating func next() async -> Connection? {
            if let connection = await base.next() { return connection.take() }
            // The sequence keeps it to itself if it ends because the task had been cancelled before.
            channel.close(promise: nil)
            return nil
        }
    }

    /// Begins to take connections.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: connections.sequence.makeAsyncIterator(), channel: channel)
    }

    /// Serves every connection in a task of its own until the listener is closed or the task is cancelled, and returns
    /// when all of them have ended. What a connection throws ends that connection alone.
    public func serve(_ body: @escaping @Sendable (Connection) async throws -> Void) async {
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

    /// Gives the listener to a function, and closes it in good order when that returns or throws, as `close` does.
    ///
    /// ```swift
    /// try await listener.executeThenClose { connections in
    ///     for await connection in connections { /* ... */ }
    /// }
    /// ```
    public func executeThenClose<Result>(
        isolation actor: isolated (any Actor)? = #isolation,
        _ body: (SocketMasterListener) async throws -> sending Result
    ) async throws -> sending Result {
        do {
            let result = try await body(self)
            await close()
            return result
        } catch {
            await close()
            throw error
        }
    }

    /// Closes the listener in good order: no new connections, and those that are under way may end within
    /// `SocketMasterConfiguration.drainTimeout`. Returns when all is over.
    public func close() async {
        channel.close(promise: nil)
        await closed()
    }

    private func closed() async { try? await channel.closeFuture.get() }
}
