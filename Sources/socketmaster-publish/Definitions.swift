internal import Glibc
internal import struct Registration.RoutePattern
internal import SocketMaster

// What is registered: each of the domains with each of the paths, on each of the ports.
extension ListeningFlags {
    /// Each one has sessions of its own.
    private static let registrationsMaximum = 64

    func definitions() throws(Failure) -> [SocketDefinition] {
        let domains = domain.isEmpty ? [""] : domain
        let paths = path.isEmpty ? [""] : path
        try checkCount(domains.count, paths.count)
        var tls: SocketDefinition.TLS?
        if let cert, let key { tls = .init(certificate: try contents(of: cert), key: try contents(of: key)) }
        var definitions: [SocketDefinition] = []
        var seen: Set<Wish> = []
        for port in port {
            for domain in domains {
                for path in paths {
                    var definition = SocketDefinition(address: address, port: port, tls: tls)
                    if isHTTP { definition.http = .init(domainSuffix: domain, pathPrefix: path) }
                    guard seen.insert(try Wish(definition)).inserted else { throw twice(definition) }
                    definitions.append(definition)
                }
            }
        }
        return definitions
    }

    /// A definition in a form in which equal wishes are equal.
    private struct Wish: Hashable {
        let port: UInt16
        let pattern: RoutePattern?

        init(_ definition: SocketDefinition) throws(Failure) {
            do {
                try definition.validate()
                let canonical = try definition.canonical()
                port = canonical.port
                pattern = canonical.pattern
            } catch {
                throw Failure(EX_USAGE, "\(error)")
            }
        }
    }

    private func twice(_ definition: SocketDefinition) -> Failure {
        var what = "Port \(definition.port)"
        if let http = definition.http, !http.domainSuffix.isEmpty { what += " with the domain \(http.domainSuffix)" }
        if let http = definition.http, !http.pathPrefix.isEmpty { what += " and the path \(http.pathPrefix)" }
        return Failure(EX_USAGE, "\(what) is given twice.")
    }

    private func checkCount(_ domains: Int, _ paths: Int) throws(Failure) {
        let (some, overflow) = port.count.multipliedReportingOverflow(by: domains)
        let (count, overflows) = some.multipliedReportingOverflow(by: paths)
        guard !overflow, !overflows, count <= Self.registrationsMaximum else {
            throw Failure(
                EX_USAGE,
                "\(port.count) ports with \(domains) domains and \(paths) paths each are more than "
                    + "\(Self.registrationsMaximum) registrations; start several programs.")
        }
        guard count == 1 || !port.contains(0) else {
            throw Failure(
                EX_USAGE, "--port 0 would be another port for each domain, path and port beside it; name the port.")
        }
    }

    /// Larger files are no certificates; the bound keeps a device from filling the memory.
    private static let fileLimit = 2 << 20

    private func contents(of path: String) throws(Failure) -> [UInt8] {
        let fd = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { throw Failure(EX_NOINPUT, "\(path) cannot be read: \(reason(errno)).") }
        defer { close(fd) }
        var contents: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while contents.count <= Self.fileLimit {
            let count = unsafe piece.withUnsafeMutableBytes { unsafe read(fd, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(EX_NOINPUT, "\(path) cannot be read: \(reason(errno)).") }
            if count == 0 { return contents }
            contents += piece[..<count]
        }
        throw Failure(EX_NOINPUT, "\(path) is too large for a certificate or a key.")
    }
}

/// What the C library says of an error.
func reason(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
