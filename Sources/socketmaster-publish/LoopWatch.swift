internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
internal import Registration
internal import SocketMaster

/// Finds out that the target leads back to us, by what becomes known while it is published: the port that the proxy has
/// chosen, and clients that are connections of our own. Those are known by their addresses, where the proxy tells
/// these.
final class LoopWatch: Sendable {
    private let check: LoopCheck
    /// Ends the program.
    private let fail: @Sendable (_ sentence: String) -> Void
    private let state = NIOLockedValueBox(State())

    private struct State {
        /// The local addresses of our connections to the target, and the addresses of our clients. Either may be seen
        /// first.
        var outgoing: Set<SocketAddress> = []
        var clients: Set<SocketAddress> = []
        /// Ports that have been looked at.
        var ports: Set<Int> = []
        var loopCount = 0
        /// Clients by loopback are ours only if the proxy is on this machine.
        var isProxyHere = false
    }

    /// One may be chance, an address that two machines have.
    private static let loopMaximum = 3

    init(_ check: LoopCheck, fail: @escaping @Sendable (_ sentence: String) -> Void) {
        self.check = check
        self.fail = fail
    }

    /// Before anything is published.
    func begin() {
        let isProxyHere = check.isProxyHere()
        state.withLockedValue { $0.isProxyHere = isProxyHere }
    }

    /// Looks at the port that a listener has, if it is another one than before.
    func look(at listener: (any Channel)?) {
        guard let port = listener?.localAddress?.port, state.withLockedValue({ $0.ports.insert(port).inserted }) else {
            return
        }
        let check = check
        let fail = fail
        NIOThreadPool.singleton.submit { _ in
            if let sentence = check.portFault(port) { fail(sentence) }
        }
    }

    /// Whether a client is none of our own connections, as far as is known already.
    func admits(_ client: any Channel) -> Bool {
        guard let address = telling(client) else { return true }
        let isLoop = state.withLockedValue { state in
            state.clients.insert(address)
            return state.outgoing.contains(address)
        }
        client.closeFuture.whenComplete { _ in self.state.withLockedValue { _ = $0.clients.remove(address) } }
        if isLoop { noteLoop() }
        return !isLoop
    }

    /// The same when its connection to the target is there.
    func admits(_ client: any Channel, to target: any Channel) -> Bool {
        guard telling(client) != nil, let address = target.localAddress else { return true }
        let isLoop = state.withLockedValue { state in
            state.outgoing.insert(address)
            return state.clients.contains(address)
        }
        target.closeFuture.whenComplete { _ in self.state.withLockedValue { _ = $0.outgoing.remove(address) } }
        if isLoop { noteLoop() }
        return !isLoop
    }

    /// Whether a connection that a proxy has passed on, and whose it says it is, is not one that has been here before:
    /// neither one of ours nor one of a client that is connected.
    func admits(passed address: SocketAddress) -> Bool {
        let isLoop = state.withLockedValue { $0.outgoing.contains(address) || $0.clients.contains(address) }
        if isLoop { noteLoop() }
        return !isLoop
    }

    /// The client's address, if it is told and tells one client from the others.
    private func telling(_ client: any Channel) -> SocketAddress? {
        guard let address = client.remoteAddress, address.port != nil, let text = address.ipAddress,
            let parsed = try? ListenAddress(parsing: text)
        else { return nil }
        return Host.isLoopback(parsed) && !state.withLockedValue({ $0.isProxyHere }) ? nil : address
    }

    private func noteLoop() {
        let isEnough = state.withLockedValue { state in
            state.loopCount += 1
            return state.loopCount == Self.loopMaximum
        }
        guard isEnough else { return }
        fail(
            "\(check.target) leads back to the port that it is published at; "
                + "give --to the address of the program to publish.")
    }
}
