import Routing

/// Routes as a busy listener might have them: a third are hosts, a third domains with all that is below them, a third
/// paths of one host. Names have 4 to 20 letters.
enum Routes {
    static let hostsDomain = "example.com"
    static let wildcardsDomain = "example.org"
    static let pathsHost = "shop.example.net"

    // Made once, and used by several loops.
    static let ten = snapshot(count: 10)
    static let thousand = snapshot(count: 1000)
    static let hundredThousand = snapshot(count: 100_000)

    static func definitions(count: Int) -> [ListenerDefinition] {
        let routes = (0..<count).map { index in
            RouteDefinition(
                id: UInt32(index + 1), kind: kind(index),
                sessions: [SessionHandle(reactor: 0, index: index, generation: 1)], reuseStreams: false)
        }
        return [ListenerDefinition(index: 0, routes: routes)]
    }

    static func build(_ definitions: [ListenerDefinition]) -> Snapshot {
        SnapshotBuilder.build(generation: 1, listeners: definitions, hashSeed: 0x5eed)
    }

    /// Ends in the number's own letters, so that no two are the same.
    static func name(_ index: Int) -> String {
        var numbers = Numbers(seed: UInt64(index))
        let letters = Array("etaoinshrdlcumwfgypbvkjxqz".utf8)
        let filling = (0..<numbers.next(below: 17)).map { _ in letters[numbers.next(below: 26)] }
        let digits = [26 * 26 * 26, 26 * 26, 26, 1].map { letters[index / $0 % 26] }
        return String(decoding: filling + digits, as: UTF8.self)
    }

    private static func kind(_ index: Int) -> RouteDefinition.Kind {
        switch index % 3 {
        case 0: .http(domainSuffix: "\(name(index)).\(hostsDomain)", pathPrefix: "/")
        case 1: .http(domainSuffix: ".\(name(index)).\(wildcardsDomain)", pathPrefix: "/")
        default: .http(domainSuffix: pathsHost, pathPrefix: "/\(name(index))/")
        }
    }

    private static func snapshot(count: Int) -> Snapshot { build(definitions(count: count)) }
}
