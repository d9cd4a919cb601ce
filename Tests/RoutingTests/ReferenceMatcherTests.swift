import Routing
import Testing
import TestSupport

/// The rules of matching, one after the other, without any thought of speed.
private struct ReferenceMatcher {
    struct Route {
        let id: UInt32
        let domainSuffix: [UInt8]
        let pathPrefix: [UInt8]
    }

    var routes: [Route]

    func match(host: [UInt8], path: [UInt8]) -> UInt32? {
        let host = host.map { (0x41...0x5a).contains($0) ? $0 + 0x20 : $0 }
        let candidates = routes.filter { Self.fits($0.domainSuffix, host) && path.starts(with: $0.pathPrefix) }
        return candidates.max {
            ($0.domainSuffix.count, $0.pathPrefix.count) < ($1.domainSuffix.count, $1.pathPrefix.count)
        }?.id
    }

    private static func fits(_ suffix: [UInt8], _ host: [UInt8]) -> Bool {
        guard !suffix.isEmpty else { return true }
        guard host.count >= suffix.count, Array(host.suffix(suffix.count)) == suffix else { return false }
        let before = host.dropLast(suffix.count)
        if suffix.first == UInt8(ascii: ".") {
            return !before.isEmpty
        }
        return before.isEmpty || before.last == UInt8(ascii: ".")
    }
}

/// Texts out of so few letters that they often match, and now and then long enough for several words.
private struct TextSource {
    var generator: SeededGenerator

    mutating func domainSuffix() -> String {
        let labels = (0..<Int.random(in: 0...4, using: &generator)).map { _ in label(letters: "ab") }
        guard !labels.isEmpty else { return "" }
        return (Int.random(in: 0...3, using: &generator) == 0 ? "." : "") + labels.joined(separator: ".")
    }

    mutating func pathPrefix() -> String {
        let length = Int.random(in: 0...5, using: &generator)
        guard length > 0 else { return "" }
        return "/" + (1..<length).map { _ in segment() }.joined()
    }

    mutating func host() -> [UInt8] {
        let labels = (0..<Int.random(in: 0...6, using: &generator)).map { _ in label(letters: "abAB") }
        let text = labels.joined(separator: ".")
        switch Int.random(in: 0...15, using: &generator) {
        case 0: return Array(text.utf8) + [0x80]
        case 1: return Array("..".utf8) + text.utf8
        case 2: return Array((".." + text).utf8.dropFirst())
        default: return Array(text.utf8)
        }
    }

    mutating func path() -> [UInt8] {
        Array(("/" + (0..<Int.random(in: 0...8, using: &generator)).map { _ in segment() }.joined()).utf8)
    }

    private mutating func label(letters: String) -> String {
        let count = Int.random(in: 0...9, using: &generator) == 0 ? 9 : Int.random(in: 1...2, using: &generator)
        return String((0..<count).map { _ in letters.randomElement(using: &generator)! })
    }

    private mutating func segment() -> String {
        ["a", "b", "/", "/a", "long-segment"].randomElement(using: &generator)!
    }
}

@Test(arguments: UInt64(0)..<200)
func `random tables match random requests as the rules say`(seed: UInt64) {
    var source = TextSource(generator: SeededGenerator(seed: seed))
    var references: [ReferenceMatcher] = []
    var listeners: [ListenerDefinition] = []
    var id: UInt32 = 0
    for index in 0..<3 {
        var seen: Set<[String]> = []
        var routes: [RouteDefinition] = []
        for _ in 0..<Int.random(in: 0...60, using: &source.generator) {
            let (suffix, prefix) = (source.domainSuffix(), source.pathPrefix())
            guard seen.insert([suffix, prefix]).inserted else { continue }
            id += 1
            routes.append(http(id, suffix, prefix))
        }
        listeners.append(ListenerDefinition(index: index, routes: routes))
        references.append(
            ReferenceMatcher(
                routes: routes.map { route in
                    guard case .http(let suffix, let prefix) = route.kind else { fatalError() }
                    return .init(id: route.id, domainSuffix: Array(suffix.utf8), pathPrefix: Array(prefix.utf8))
                }))
    }
    withSnapshot(of: listeners.shuffled(using: &source.generator), hashSeed: seed) { snapshot in
        for _ in 0..<400 {
            let listener = Int.random(in: 0..<3, using: &source.generator)
            let (host, path) = (source.host(), source.path())
            let expected = references[listener].match(host: host, path: path)
            let found = snapshot.match(listener: listener, host: host, path: path)
            #expect(found == expected, "seed \(seed): \(host) \(path)")
        }
    }
}
