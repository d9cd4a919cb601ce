import NIOCore
import Proxy
import Testing

@testable import Control
@testable import Observation

private func status(_ report: Report) throws -> JSON {
    try #require(JSON(Array(buffer: StatusJSON.bytes(report))))
}

struct StatusTests {
    @Test func `the status has all that is agreed on`() throws {
        let figures = RouteFigures.with(
            [.begun: 10, .success: 4, .bytesIn: 12_345, .duration: 1_500_000, .relays: 1, .sentAgainTakenBack: 2],
            [.durations: [4]])
        let held = RouteReport.State.held(milliseconds: 1_500, leftMilliseconds: 28_500)
        let certificate = ListenerReport.Certificate(names: ["example.com"], notAfter: 1_800_000_000)
        let json = try status(
            report(
                routes: [route(state: held, sessions: 0, figures: figures)],
                listeners: [listener("[::]:443", [.refusedUnrouted: 3], certificates: [certificate])],
                sessions: [session("0-17-3")], totals: figures, counts: [.turns: 123, .pausesAtLimit: 1]))
        #expect(json["schema"] == .number(1))
        #expect(json["time"] == .number(1_796_083_200.125))
        #expect(json["program"]?["ready"] == .flag(true))
        #expect(json["program"]?["pid"] == .number(4711))
        #expect(json["bounds"]?["duration"]?[0] == .number(0.0005))
        #expect(json["bounds"]?["held"]?.elements.count == 15)

        let ofRoute = try #require(json["routes"]?[0])
        #expect(ofRoute["id"] == .text("[::]:443/example.com/api"))
        #expect(ofRoute["state"] == .text("held"))
        #expect(ofRoute["heldSeconds"] == .number(1.5))
        #expect(ofRoute["holdLeftSeconds"] == .number(28.5))
        #expect(ofRoute["open"] == .number(6))
        #expect(ofRoute["replies"]?["2xx"] == .number(4))
        #expect(ofRoute["duration"]?["counts"]?.elements.count == 16)
        #expect(ofRoute["duration"]?["sumSeconds"] == .number(1.5))
        #expect(ofRoute["sentAgain"]?.names == ["ended", "refused", "reset", "taken_back"])
        #expect(
            ofRoute["failed"]?.names == [
                "may_have_run", "not_kept", "spent", "broken_reply", "cut", "timeout", "no_room",
            ])
        #expect(json["totals"]?["bytesIn"] == .number(12_345))
        #expect(json["totals"]!.names.isSubset(of: ofRoute.names))

        #expect(json["listeners"]?[0]?["rejected"] == .object(["no_route": .number(3)]))
        #expect(json["listeners"]?[0]?["certificates"]?[0]?["names"] == .array([.text("example.com")]))
        #expect(json["sessions"]?[0]?["route"] == ofRoute["id"])
        #expect(json["sessions"]?[0]?["roundTripSeconds"] == .number(0.0002))
        #expect(json["sessions"]?[0]?["sinceSeconds"] == .number(512))
        #expect(json["reactors"]?[0]?["turns"] == .number(123))
        #expect(json["limits"]?["connections"] == .number(8192))
        #expect(json["connections"] == .number(100))
        #expect(json["bufferBytes"]! != .number(0))
    }

    /// A page keeps them to draw lines by.
    @Test func `ids of routes are different, and a session has its route's`() throws {
        var raw = session("0-2-1")
        raw.kind = .raw
        (raw.host, raw.path) = ("", "")
        let json = try status(
            report(
                routes: [route("", ""), route("", "", kind: .raw), route("other", "", listener: "", kind: .other)],
                sessions: [raw, session("0-1-1")]))
        let ids = json["routes"]!.elements.map { $0["id"]! }
        #expect(ids == [.text("[::]:443/"), .text("[::]:443/~2"), .text("/other")])
        #expect(json["sessions"]?[0]?["route"] == ids[1])
        // Its route has no figures of its own.
        #expect(json["sessions"]?[1]?["route"] == .text("[::]:443/example.com/api"))
    }

    /// Each event has all sessions: what they repeat is short.
    @Test func `long names cost little`() throws {
        let long = "/" + String(repeating: "x", count: 8 << 10)
        let routes = ["1", "2"].map { route("a.example", long + $0) }
        let sessions = ["1", "2"].map { number in
            var session = session(number, service: long + number, path: long + number)
            session.host = "a.example"
            return session
        }
        let json = try status(report(routes: routes, sessions: sessions))
        for place in 0...1 {
            #expect(json["sessions"]?[place]?["route"] == json["routes"]?[place]?["id"])
            #expect(json["routes"]?[place]?["path"] == .text(routes[place].path))
        }
        #expect(json["routes"]?[0]?["id"] != json["routes"]?[1]?["id"])
        #expect(json["sessions"]?[0]?["service"] == .text(LabelText.shown(sessions[0].service)))
    }

    @Test func `any text comes back as it was, on one line`() throws {
        var name = ""
        for value in UInt32(0)..<0x300 { Unicode.Scalar(value).map { name.unicodeScalars.append($0) } }
        name += "\u{2028}\u{2029}\u{FEFF}\u{FFFF}\u{10FFFF}😀</script>"
        let hostile = report(routes: [route("", name)])
        let text = String(buffer: StatusJSON.bytes(hostile))
        #expect(text.unicodeScalars.allSatisfy { !["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains($0) })
        #expect(try status(hostile)["routes"]?[0]?["path"] == .text(name))
    }

    @Test func `numbers are finite, and whole ones exact`() throws {
        var strange = report(totals: .with([.bytesIn: .max]))
        strange.time = .infinity
        strange.uptimeSeconds = .nan
        let json = try status(strange)
        #expect(json["time"] == .number(0))
        #expect(json["program"]?["uptimeSeconds"] == .number(0))
        #expect(json["totals"]?["bytesIn"] == .number(9_007_199_254_740_992))
    }

    @Test func `other programs read it, too`() throws {
        let bytes = StatusJSON.bytes(largeReport(routes: 20))
        let counted = "import json, sys; print(len(json.load(sys.stdin)[\"routes\"]))"
        #expect(try run("python3 -c '\(counted)'", input: String(buffer: bytes)).output == "20\n")
    }
}
