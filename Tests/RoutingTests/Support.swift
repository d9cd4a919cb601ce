import Routing

/// Gives the bytes in memory of exactly their size, so that a sanitizer sees each byte that is read beside them.
func withExactBytes<Result>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { unsafe memory.deallocate() }
    unsafe memory.copyBytes(from: bytes)
    return unsafe body(UnsafeRawBufferPointer(memory))
}

extension Snapshot {
    /// The id of the route that a request gets.
    func match(listener: Int = 0, _ host: String, _ path: String) -> UInt32? {
        match(listener: listener, host: Array(host.utf8), path: Array(path.utf8))
    }

    func match(listener: Int, host: [UInt8], path: [UInt8]) -> UInt32? {
        let index = unsafe withExactBytes(host) { host in
            unsafe withExactBytes(path) { path in unsafe httpRoute(listener: listener, host: host, path: path) }
        }
        return index < 0 ? nil : route(index).id
    }

    /// All sessions of a route.
    func sessions(_ route: Int32) -> [SessionHandle] {
        (0..<self.route(route).sessionCount).map { session(route, $0) }
    }
}

/// A held HTTP route.
func http(_ id: UInt32, _ domainSuffix: String, _ pathPrefix: String) -> RouteDefinition {
    RouteDefinition(
        id: id, kind: .http(domainSuffix: domainSuffix, pathPrefix: pathPrefix), sessions: [], reuseStreams: false)
}

/// Builds a snapshot of one listener in slot 0, and frees it afterwards.
func withSnapshot<Result>(_ routes: [RouteDefinition], _ body: (Snapshot) throws -> Result) rethrows -> Result {
    try withSnapshot(of: [ListenerDefinition(index: 0, routes: routes)], body)
}

func withSnapshot<Result>(
    of listeners: [ListenerDefinition], hashSeed: UInt64 = 1, _ body: (Snapshot) throws -> Result
) rethrows -> Result {
    let snapshot = SnapshotBuilder.build(generation: 1, listeners: listeners, hashSeed: hashSeed)
    defer { snapshot.deallocate() }
    return try body(snapshot)
}
