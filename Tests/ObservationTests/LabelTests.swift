import Proxy
import Testing

@testable import Control
@testable import Observation

struct LabelTests {
    @Test func `a long name is cut, and says so`() {
        let shown = LabelText.shown("/" + String(repeating: "a", count: 8 << 10))
        #expect(shown.hasPrefix("/aaaa") && shown.contains("…"))
        #expect(shown.utf8.count == LabelText.limit + "…".utf8.count + 8)
        #expect(LabelText.shown(String(repeating: "a", count: LabelText.limit)).allSatisfy { $0 == "a" })
    }

    @Test func `a name is not cut within a character`() {
        let shown = LabelText.shown(String(repeating: "ü", count: 100) + "\u{1B}")
        #expect(shown.prefix { $0 != "…" } == String(repeating: "ü", count: 64))
    }

    @Test func `names that begin alike are told apart`() {
        let long = String(repeating: "x", count: 4_000)
        let routes = [route("a.example", "/" + long + "1"), route("a.example", "/" + long + "2")]
        let reader = ExpositionReader(report(routes: routes))
        #expect(Set(reader.samples.compactMap { $0.labels["path"] }).count == 2)
    }

    /// By chance, by a found collision of digests, or because one text is how another one is shown.
    @Test func `equal names of different routes get numbers`() {
        let routes = [
            route("", "", kind: .http), route("", "", kind: .raw), route("a", "\u{1}"), route("a", "\\x01"),
        ]
        let reader = ExpositionReader(report(routes: routes))
        #expect(Set(reader.samples.compactMap { $0.labels["path"] }) == ["", "~2", "\\x01", "\\x01~2"])
        // The same in all families.
        #expect(reader.values("socketmaster_relays_total", ["path": "~2"]).count == 1)
    }

    @Test func `nothing that a service says breaks a line or hides`() {
        let name = "a\"} 1\nb\\\r\u{0}\u{1B}[31m\u{202E}\u{2028}\u{85}\u{AD}\u{200B}\u{E000}\u{A0}ü日😀\u{7F}"
        let hostile = report(
            routes: [route(name, name, listener: name)], listeners: [listener(name)],
            sessions: [session("0-1-1", service: name)])
        let reader = ExpositionReader(hostile)
        let label = reader.samples.compactMap { $0.labels["host"] }.first
        #expect(
            label
                == "a\"} 1\\x0ab\\\\x0d\\x00\\x1b[31m\\xe2\\x80\\xae\\xe2\\x80\\xa8\\xc2\\x85\\xc2\\xad\\xe2\\x80\\x8b"
                + "\\xee\\x80\\x80\\xc2\\xa0ü日😀\\x7f")
    }

    @Test func `Prometheus reads names that are hostile`() throws {
        let names = ["\"", "\\", "\n", "\\n", "\u{0}", "…", "{}", "a=\"b\",", String(repeating: "\"", count: 9_000)]
        let routes = names.map { route($0, $0, listener: $0) }
        let hostile = report(
            routes: routes, listeners: names.map { listener($0) },
            sessions: names.map { session($0, service: $0) })
        let result = try run("promtool check metrics", input: metrics(hostile))
        #expect(result.status == 0 && result.output.isEmpty, "\(result.output)")
        _ = ExpositionReader(hostile)
    }
}
