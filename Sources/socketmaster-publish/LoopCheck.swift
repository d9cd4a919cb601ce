internal import Registration
internal import SocketMaster

/// Whether a target is the proxy itself. Published to a port of the proxy's own, one client would become as many as it
/// has room for.
struct LoopCheck: Sendable {
    let control: ControlAddress
    let target: ControlAddress
    /// Where clients connect to.
    let publicAddress: ListenAddress

    /// The sentence against it, if it takes registrations at the target.
    func controlFault() -> String? {
        let isSame: Bool
        switch (control.unixDomainSocketPath, target.unixDomainSocketPath) {
        case (let control?, let target?): isSame = Host.isSameFile(control, target)
        case (nil, nil):
            isSame =
                control.port == target.port && !addresses(of: control).isDisjoint(with: addresses(of: target))
        default: isSame = false
        }
        guard isSame else { return nil }
        return "\(target) is where the proxy takes registrations; give --to the address of the program to publish."
    }

    /// The sentence against it, if the proxy has opened this port for clients at the target.
    func portFault(_ port: Int) -> String? {
        guard port != 0, target.port == port, isProxysOwn() else { return nil }
        return "\(target) is the proxy's own port \(port), which would be published to itself; "
            + "give --to the address of the program to publish."
    }

    /// Whether the target is on the host of the proxy, at an address that clients connect to.
    private func isProxysOwn() -> Bool {
        let targets = addresses(of: target).filter(publicAddress.overlaps)
        guard !targets.isEmpty else { return false }
        let hosts = addresses(of: control)
        guard isProxyHere(hosts) else { return !targets.isDisjoint(with: hosts) }
        let own = Host.own()
        return targets.contains { Host.isLoopback($0) || own.contains($0) }
    }

    /// Whether the proxy is on this machine: only then it is known by loopback, too.
    func isProxyHere() -> Bool { isProxyHere(addresses(of: control)) }

    private func isProxyHere(_ hosts: Set<ListenAddress>) -> Bool {
        if let path = control.unixDomainSocketPath { return !Host.isForeign(socket: path) }
        let own = Host.own()
        return hosts.contains { Host.isLoopback($0) || own.contains($0) }
    }

    private func addresses(of place: ControlAddress) -> Set<ListenAddress> {
        place.host.map(Host.addresses) ?? []
    }
}
