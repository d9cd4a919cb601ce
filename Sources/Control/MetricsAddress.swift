internal import CKernel
public import Registration

/// Where figures are told by HTTP: a TCP address and port.
public struct MetricsAddress: Hashable, Sendable {
    public let address: ListenAddress
    public let port: UInt16

    /// Reads `ADDRESS:PORT`. An IPv6 address stands in brackets; `*` and nothing mean all addresses.
    /// - Throws: a sentence that says how to write it.
    public init(parsing text: String) throws(UnusableValue) {
        guard case .tcp(let address, let port) = try ControlAddress(parsing: text) else {
            throw UnusableValue("figures are told at ADDRESS:PORT; it is no unix socket")
        }
        (self.address, self.port) = (address, port)
    }

    var isPublic: Bool { ControlAddress.tcp(address, port: port).isPublic }

    /// - Throws: a sentence for the operator.
    func listen() throws(StartFailure) -> OwnedDescriptor {
        let fd = listenFirst(address, port: port, backlog: Self.backlog)
        guard fd >= 0 else {
            throw StartFailure(
                cannotListen: address, port: port, KernelFailure(fd), flag: "--metrics", else: "leave --metrics out")
        }
        return OwnedDescriptor(fd)
    }

    /// Whoever scrapes comes alone, and pages are few.
    private static let backlog = 64
    /// What serving them takes: its listener, connections, and what the event loop needs.
    static let descriptors = 48
}

extension ControlThread {
    /// The socket that listens at `--metrics`, for whoever serves it; nil: there is none, or somebody does already.
    public func takeMetricsSocket() -> Int32? {
        guard let socket = metricsSocket else { return nil }
        metricsSocket = nil
        return socket.giveAway()
    }
}

extension MetricsAddress: CustomStringConvertible {
    public var description: String { "\(address):\(port)" }
}
