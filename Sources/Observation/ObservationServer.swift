public import Control
internal import NIOCore
internal import NIOPosix

/// Metrics, health, and a page about the proxy, over HTTP and to be read only. It has one thread of its own, and asks
/// the control thread for all that it tells.
///
/// It lives as long as the process, or until it is stopped: a server that nobody holds goes on, too.
public final class ObservationServer: Sendable {
    private let group: MultiThreadedEventLoopGroup

    /// Serves whoever connects.
    /// - Parameters:
    ///   - descriptor: a socket that is bound, and may listen already. It belongs to the server from now on.
    ///   - hosts: names by which clients may ask for it, beside addresses and `localhost`.
    /// - Throws: what the kernel has against the socket.
    public static func start(
        listening descriptor: CInt, desk: ReportDesk, hosts: [String]
    ) throws -> ObservationServer {
        try ObservationServer(listening: descriptor, hosts: hosts, page: Page()) { isScrape, answer in
            desk.ask(isScrape: isScrape, answer)
        }
    }

    init(listening descriptor: CInt, hosts: [String], page: Page, ask: @escaping ReportSource.Ask) throws {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let reception = try loop.submit {
            NIOLoopBound(Reception(loop: loop, hosts: hosts, page: page, ask: ask), eventLoop: loop)
        }.wait()
        let bootstrap = ServerBootstrap(group: group)
            // What is not accepted waits in the kernel.
            .serverChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try reception.value.admit(channel) }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.socketOption(.so_sndbuf), value: Bounds.socketBytes)
            .childChannelOption(.socketOption(.so_rcvbuf), value: Bounds.socketBytes)
            .childChannelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Bounds.readBytes))
        do {
            _ = try bootstrap.withBoundSocket(descriptor).wait()
        } catch {
            try group.syncShutdownGracefully()
            throw error
        }
    }

    /// Ends all connections, and its thread.
    func stop() throws { try group.syncShutdownGracefully() }
}
