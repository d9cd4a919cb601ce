import NIOCore
import Proxy
import Testing

@testable import Control
@testable import Observation

struct MetricsTests {
    private static let counts: [RouteCounter: UInt64] = [
        .begun: 20, .success: 9, .switched: 1, .serverError: 2, .abandoned: 3, .duration: 1_500_000, .relays: 5,
        .relaysEnded: 2, .held: 4, .sentAgainReset: 6, .failedCut: 8,
    ]
    private static let durations: [UInt64] = [3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    private let busy = report(
        routes: [route(figures: .with(counts, [.durations: durations, .heldTimes: [1]]))],
        listeners: [listener("[::]:443", [.refusedUnrouted: 3])], sessions: [session("0-17-3")])

    @Test func `a histogram is cumulative and ends with its count`() {
        let reader = ExpositionReader(busy)
        let name = "socketmaster_request_duration_seconds"
        let expected: [String] = ["3", "3"] + Array(repeating: "5", count: 13) + ["6"]
        let buckets = reader.samples.filter { $0.name == name + "_bucket" }
        #expect(buckets.map(\.value) == expected)
        #expect(buckets.map { $0.labels["le"] }.prefix(2) == ["0.0005", "0.001"])
        #expect(buckets.last?.labels["le"] == "+Inf")
        #expect(reader.value(name + "_count") == "6")
        #expect(reader.value(name + "_sum") == "1.5")
        #expect(reader.types[name] == "histogram")
    }

    /// Whoever computes a rate needs the 0 before the first event.
    @Test func `all series of a route are there before anything has happened`() {
        let reader = ExpositionReader(report(routes: [route()]))
        let ofRoute = reader.samples.filter { $0.labels["host"] == "example.com" }
        #expect(ofRoute.count == 3 * 18 + 5 + 4 + 7 + 13)
        #expect(ofRoute.allSatisfy { ["0", "0.0", "1"].contains($0.value) })
    }

    @Test func `figures of a route stand under its labels`() {
        let reader = ExpositionReader(busy)
        let labels = ["listener": "[::]:443", "host": "example.com", "path": "/api"]
        func value(_ name: String, _ more: [String: String] = [:]) -> String? {
            reader.value("socketmaster_" + name, labels.merging(more) { $1 })
        }
        #expect(value("requests_total", ["code": "2xx"]) == "9")
        #expect(value("requests_total", ["code": "1xx"]) == "1")
        #expect(value("requests_total", ["code": "5xx"]) == "2")
        #expect(value("requests_open") == "5")
        #expect(value("route_connections", ["kind": "relay"]) == "3")
        #expect(value("waiting") == "3")
        #expect(value("repeated_total", ["why": "reset"]) == "6")
        #expect(value("failed_total", ["why": "cut"]) == "8")
        #expect(reader.value("socketmaster_rejected_total", ["why": "no_route"]) == "3")
    }

    @Test func `the text is the same whatever its pieces`() {
        let whole = metrics(busy, atLeast: 1 << 30)
        // Processor time has gone on.
        func lines(_ text: String) -> [Substring] { text.split(separator: "\n").filter { !$0.contains("process_") } }
        #expect(lines(metrics(busy, atLeast: 1)) == lines(whole))
        #expect(lines(metrics(busy, atLeast: 777)) == lines(whole))
    }

    @Test func `a piece is not much larger than asked for`() {
        var text = MetricsText(largeReport(routes: 200), format: .prometheus)
        var sizes: [Int] = []
        while let piece = text.next(atLeast: 32 << 10) { sizes.append(piece.readableBytes) }
        #expect(sizes.reduce(0, +) > 1 << 20)
        #expect(sizes.dropLast().allSatisfy { (32 << 10..<48 << 10).contains($0) })
    }

    @Test func `OpenMetrics has families without total, units, and an end`() {
        let text = metrics(busy, format: .openMetrics)
        #expect(text.hasSuffix("\n# EOF\n"))
        #expect(text.ranges(of: "# EOF").count == 1)
        #expect(text.contains("# TYPE socketmaster_requests counter\n"))
        #expect(text.contains("\nsocketmaster_requests_total{"))
        #expect(text.contains("# UNIT socketmaster_request_bytes bytes\n"))
        #expect(text.contains("# UNIT socketmaster_request_duration_seconds seconds\n"))
        let plain = metrics(busy)
        #expect(plain.contains("# TYPE socketmaster_requests_total counter\n"))
        #expect(!plain.contains("# UNIT") && !plain.contains("# EOF"))
        #expect(ExpositionReader(busy, format: .openMetrics).samples.count == ExpositionReader(busy).samples.count)
    }

    /// In OpenMetrics the counter and the gauge would be one family.
    @Test func `no two families have one name, with or without total`() {
        #expect(Set(Family.all.map(\.name)).count == Family.all.count)
        for family in Family.all {
            #expect(!family.name.hasSuffix("_total") && !family.help.contains("\\") && family.help.hasSuffix("."))
        }
    }

    @Test func `figures of the process are there`() throws {
        let reader = ExpositionReader(busy)
        for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "start_time_seconds"] {
            let value = try #require(reader.value("process_" + name).flatMap { Double($0) })
            #expect(value > 0, "\(name)")
        }
        let start = try #require(reader.value("process_start_time_seconds").flatMap { Double($0) })
        #expect(start > 1_700_000_000)
        #expect(reader.value("socketmaster_build_info")! == "1")
    }

    @Test func `draining is not ready`() {
        let reader = ExpositionReader(report(isDraining: true))
        #expect(reader.value("socketmaster_ready") == "0")
        #expect(reader.value("socketmaster_draining") == "1")
    }

    @Test func `above 256 sessions none has metrics of its own`() {
        let sessions = (0...256).map { session("0-\($0)-1") }
        let some = ExpositionReader(report(sessions: Array(sessions.dropLast())))
        #expect(some.values("socketmaster_session_streams").count == 256)
        #expect(some.value("socketmaster_session_round_trip_seconds", ["session": "0-7-1"]) == "0.0002")
        #expect(ExpositionReader(report(sessions: sessions)).values("socketmaster_session_streams").isEmpty)
    }

    @Test func `a name has the end of the certificate that ends first`() {
        let certificates = [
            ListenerReport.Certificate(names: ["example.com", "*.example.com"], notAfter: 1_800_000_000),
            ListenerReport.Certificate(names: ["example.com"], notAfter: 1_700_000_000),
        ]
        let reader = ExpositionReader(report(listeners: [listener(certificates: certificates)]))
        let name = "socketmaster_certificate_not_after_seconds"
        #expect(reader.value(name, ["name": "example.com"]) == "1700000000.0")
        #expect(reader.value(name, ["name": "*.example.com"]) == "1800000000.0")
    }

    @Test func `Prometheus has nothing against the names and the text`() throws {
        for one in [report(), busy, largeReport(routes: 30)] {
            let result = try run("promtool check metrics", input: metrics(one))
            #expect(result.status == 0 && result.output.isEmpty, "\(result.output)")
        }
    }

    @Test func `the reference reader of OpenMetrics reads it`() throws {
        let reader =
            "/usr/bin/python3 -c 'import sys; from prometheus_client.openmetrics import parser; "
            + "print(sum(len(f.samples) for f in parser.text_string_to_metric_families(sys.stdin.read())))'"
        let result = try run(reader, input: metrics(busy, format: .openMetrics))
        #expect(result.output == "\(ExpositionReader(busy).samples.count)\n")
    }
}

/// A figure that is counted and shown to nobody is work for nothing: each is in the metrics, or named here.
struct CountedTests {
    @Test func `each figure of routes is told`() {
        // Parts of what is under way.
        let others: Set<RouteCounter> = [.begun, .moved, .relaysEnded, .waitMoved]
        for counter in RouteCounter.allCases where !others.contains(counter) {
            let ofRoute = ExpositionReader(report(routes: [route(figures: .with([counter: 7_000_000]))]))
            #expect(ofRoute.samples.contains { isSeven($0.value) }, "\(counter)")
            // Times have no sum of all routes, nor has what few ask for.
            guard ![.duration, .firstByte, .heldTime, .abandoned, .relays].contains(counter) else { continue }
            let ofAll = ExpositionReader(report(totals: .with([counter: 7_000_000])))
            #expect(ofAll.samples.contains { isSeven($0.value) }, "\(counter)")
        }
    }

    @Test func `each way of being turned away has a name, and no two the same`() {
        // What clients do every day, and what the figures of routes tell.
        let others: Set<ListenerCounter> = [
            .held, .released, .expired, .refused, .sentAgain, .takenBack, .failedMayHaveRun, .failedNotKept,
            .failedSpent, .failedBroken, .failedTooLarge, .failedTooManyFields, .failedNotHTTP, .failedBadFields,
            .failedBadFraming, .failedUnaskedSwitch, .failedNoMemory, .failedNoReply, .failedBodyNotTaken, .cut,
            .cutBrokenChunks, .cutBadRequest, .cutBodyNotTaken, .cutIdle, .cutDrained, .failures, .answeredOptions,
            .clientGone, .clientLeftWaiting, .endedIdle, .endedSilent, .endedByDrain, .endedForOthers,
            .handshakeLeft, .parked,
        ]
        #expect(Set(ListenerCounter.allCases.filter { $0.rejection == nil }) == others)
        #expect(Set(ListenerCounter.rejections.map(\.why)).count == ListenerCounter.rejections.count)
        for (why, counter) in ListenerCounter.rejections {
            let reader = ExpositionReader(report(listeners: [listener("[::]:443", [counter: 7])]))
            #expect(reader.value("socketmaster_rejected_total", ["why": why]) == "7")
            #expect(why.allSatisfy { $0.isASCII && ($0.isLowercase || $0 == "_") })
        }
    }

    @Test func `each figure of reactors is told`() {
        let others: Set<Counter> = [
            // By route.
            .requests, .waiting, .held, .released, .expired, .refused, .failed, .idleRelays,
            // The sum of the reasons.
            .handshakesFailed,
            // The process's, not the reactors' sum.
            .blocksInUse,
            // For the log, which has the sentences.
            .acceptPaused, .pausesAtLimit, .pausesByError, .acceptError,
        ]
        for counter in Counter.allCases {
            var counts: [Counter: UInt64] = [.handshakes: counter == .resumed ? 9_000_000 : 0]
            counts[counter] = 7_000_000
            let reader = ExpositionReader(report(counts: counts))
            #expect(reader.samples.contains { isSeven($0.value) } != others.contains(counter), "\(counter)")
        }
    }

    @Test func `each end of sessions and each result of a registration is told`() {
        let reader = ExpositionReader(report())
        #expect(SessionEnd.all.count == 8)
        #expect(Set(SessionEnd.all.map(\.name)).count == SessionEnd.all.count)
        #expect(reader.values("socketmaster_sessions_lost_total").count == SessionEnd.all.count)
        #expect(reader.value("socketmaster_sessions_lost_total", ["why": "closed"]) == "3")
        #expect(reader.values("socketmaster_registrations_total").count == RegistrationResult.allCases.count)
        #expect(reader.value("socketmaster_registrations_total", ["result": "ok"]) == "7")
    }

    /// Times are told in seconds.
    private func isSeven(_ value: String) -> Bool { ["7000000", "7.0"].contains(value) }
}
