import Routing

extension Loop {
    static let routeLookups: [Loop] =
        lookups(among: "10", count: 10) { Routes.ten }
        + lookups(among: "1000", count: 1000) { Routes.thousand }
        + lookups(among: "100 000", count: 100_000) { Routes.hundredThousand }

    private static func lookups(
        among number: String, count: Int, _ snapshot: @escaping @Sendable () -> Snapshot
    ) -> [Loop] {
        LookupSample.Kind.allCases.map { kind in
            Loop("Routing: find \(kind.rawValue) among \(number) routes") {
                let table = snapshot()
                let samples = LookupSample.some(of: kind, count: count)
                return { count in lookUp(samples, in: table, count: count) }
            }
        }
    }

    private static func lookUp(_ samples: [LookupSample], in table: Snapshot, count: Int) -> Int {
        var sum = 0
        for index in 0..<count {
            let sample = samples[index % samples.count]
            sum &+= unsafe Int(table.httpRoute(listener: 0, host: sample.host, path: sample.path))
        }
        // 0 is an index like any other, and -1 is none.
        return sum &+ 2 &* count
    }
}

/// What a client asks for.
@safe private struct LookupSample {
    enum Kind: String, CaseIterable {
        case host = "a host"
        case wildcard = "a sub-domain"
        case path = "a path"
        case nothing = "nothing"
    }

    let host: UnsafeRawBufferPointer
    let path: UnsafeRawBufferPointer

    private init(_ host: String, _ path: String) {
        unsafe self.host = padded(host.utf8)
        unsafe self.path = padded(path.utf8)
    }

    /// Up to 64 of them, from all over the table.
    static func some(of kind: Kind, count: Int) -> [LookupSample] {
        let third = count / 3
        return (0..<min(64, third)).map { sample in
            let name = Routes.name(3 * (sample * third / min(64, third)) + offset(of: kind))
            return switch kind {
            case .host: LookupSample("\(name).\(Routes.hostsDomain)", "/orders/1234")
            case .wildcard: LookupSample("www.\(name).\(Routes.wildcardsDomain)", "/orders/1234")
            case .path: LookupSample(Routes.pathsHost, "/\(name)/orders/1234")
            case .nothing: LookupSample("\(name).\(Routes.hostsDomain).invalid", "/orders/1234")
            }
        }
    }

    /// Which of the thirds.
    private static func offset(of kind: Kind) -> Int {
        switch kind {
        case .host, .nothing: 0
        case .wildcard: 1
        case .path: 2
        }
    }
}
