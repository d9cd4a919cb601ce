internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import SocketMaster

/// The program that is published: where it listens, and how connections to it are made.
struct Target: Sendable {
    let address: ControlAddress
    /// How long it may take to accept a connection.
    let timeout: TimeAmount

    /// Why there is no connection: a clause that has the target for its subject.
    struct Absence: Error, CustomStringConvertible {
        let clause: String

        var description: String { "the target \(clause)" }
    }

    /// It has taken the connection, and reset it before there was anything to pass on.
    struct BrokenOff: Error, CustomStringConvertible {
        var description: String { "the target has reset the connection" }
    }

    /// Between two attempts at a unix socket whose queue is full. There the kernel does not wait, as it does for TCP.
    private static let fullQueuePause = TimeAmount.milliseconds(20)

    /// Nothing if it accepts connections now, whatever it does with them, else why it does not.
    func absence() async -> Absence? {
        do {
            let channel = try await connect(on: MultiThreadedEventLoopGroup.singleton.next()).get()
            try? await channel.close().get()
            return nil
        } catch {
            return error as? Absence
        }
    }

    /// The same of a target that may be dying. The kernel takes connections for it until the last of its descriptors is
    /// closed, and resets them then: one that stays open for so long tells that it lives.
    func absence(
        on loop: any EventLoop, proofOfLife: TimeAmount, attempts: Int = 3
    ) -> EventLoopFuture<Absence?> {
        connect(on: loop).flatMap { channel in
            let life = loop.makePromise(of: Bool.self)
            channel.closeFuture.whenComplete { _ in life.succeed(false) }
            loop.scheduleTask(in: proofOfLife) { life.succeed(true) }
            return life.futureResult.always { _ in channel.close(promise: nil) }
        }.flatMapErrorThrowing { error in
            guard error is BrokenOff else { throw error }
            return false
        }.flatMap { isAlive in
            if isAlive || attempts == 1 { return loop.makeSucceededFuture(nil) }
            return absence(on: loop, proofOfLife: proofOfLife, attempts: attempts - 1)
        }.flatMapErrorThrowing { error in
            guard let absence = error as? Absence else { throw error }
            return absence
        }
    }

    /// - Parameters:
    ///   - loop: Where the connection lives.
    ///   - prepare: Sets it up.
    /// - Returns: A connection, or `Absence` or `BrokenOff`.
    func connect(
        on loop: any EventLoop, _ prepare: @escaping @Sendable (ClientBootstrap) -> ClientBootstrap = { $0 }
    ) -> EventLoopFuture<any Channel> {
        connect(on: loop, until: .now() + timeout, prepare).flatMapThrowing { channel in
            guard address.port == nil || channel.localAddress != channel.remoteAddress else {
                // With nobody there, a port of our own may meet itself. (Sockets without a file have no addresses.)
                channel.close(promise: nil)
                throw Absence(clause: "refuses connections")
            }
            return channel
        }.flatMapErrorThrowing { error in throw cause(error) }
    }

    private func connect(
        on loop: any EventLoop, until deadline: NIODeadline,
        _ prepare: @escaping @Sendable (ClientBootstrap) -> ClientBootstrap
    ) -> EventLoopFuture<any Channel> {
        let bootstrap = prepare(ClientBootstrap(group: loop).connectTimeout(timeout))
        guard let path = address.unixDomainSocketPath else {
            return bootstrap.connect(host: address.host ?? "", port: address.port ?? 0)
        }
        return bootstrap.connect(toUnixSocket: path).flatMapError { error in
            guard (error as? IOError)?.errnoCode == EAGAIN else { return loop.makeFailedFuture(error) }
            guard .now() + Self.fullQueuePause < deadline else {
                return loop.makeFailedFuture(ChannelError.connectTimeout(timeout))
            }
            return loop.flatScheduleTask(in: Self.fullQueuePause) {
                connect(on: loop, until: deadline, prepare)
            }.futureResult
        }
    }

    /// A name may stand for many addresses, and the first will do.
    private func cause(_ error: any Error) -> any Error {
        switch error {
        case is Absence: return error
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first { return cause(first.error) }
            return Absence(clause: "has a name without an address")
        case let error as IOError where error.errnoCode == ECONNRESET: return BrokenOff()
        case ChannelError.connectTimeout: return Absence(clause: "does not answer within \(text(timeout))")
        case let error as IOError: return Absence(clause: clause(error.errnoCode))
        default: return Absence(clause: "cannot be reached: \(error)")
        }
    }

    private func clause(_ code: Int32) -> String {
        switch code {
        case ECONNREFUSED: "refuses connections"
        case ENOENT: "is not there"
        case ETIMEDOUT: "does not answer"
        default: "cannot be reached: \(reason(code))"
        }
    }
}
