import Proxy

@testable import Control
@testable import Proxy

// Reports by hand. Whatever a test is not about is 0.

extension RouteFigures {
    static func with(
        _ counts: [RouteCounter: UInt64], _ histograms: [RouteHistogram: [UInt64]] = [:]
    ) -> RouteFigures {
        var figures = RouteFigures()
        for (counter, count) in counts { figures.words[counter.place] = count }
        for (histogram, buckets) in histograms {
            for (place, count) in buckets.enumerated() { figures.words[histogram.place + place] = count }
        }
        return figures
    }
}

func route(
    _ host: String = "example.com", _ path: String = "/api", listener: String = "[::]:443",
    kind: RouteReport.Kind = .http, state: RouteReport.State = .served, sessions: Int = 1,
    figures: RouteFigures = RouteFigures()
) -> RouteReport {
    RouteReport(
        listener: listener, host: host, path: path, kind: kind, state: state, sessions: sessions, figures: figures)
}

func listener(
    _ address: String = "[::]:443", _ counts: [ListenerCounter: UInt64] = [:],
    certificates: [ListenerReport.Certificate] = []
) -> ListenerReport {
    var words = [UInt64](repeating: 0, count: ListenerCounter.stride)
    for (counter, count) in counts { words[counter.rawValue] = count }
    return ListenerReport(
        address: address, isTLS: !certificates.isEmpty, routes: 1, waiting: 0, waitingBytes: 0,
        certificates: certificates, counts: words)
}

func session(_ id: String, service: String = "shop", path: String = "/api") -> SessionReport {
    SessionReport(
        id: id, service: service, peer: "pid 4712", listener: "[::]:443", host: "example.com", path: path, kind: .http,
        state: .live, reactor: 0, ageMilliseconds: 512_000, streams: 12, roundTripMicroseconds: 200)
}

func counters(_ counts: [Counter: UInt64] = [:]) -> [UInt64] {
    Counter.allCases.map { counts[$0, default: 0] }
}

func report(
    routes: [RouteReport] = [], listeners: [ListenerReport] = [], sessions: [SessionReport] = [],
    totals: RouteFigures = RouteFigures(), counts: [Counter: UInt64] = [:], isAlive: Bool = true,
    isDraining: Bool = false
) -> Report {
    Report(
        time: 1_796_083_200.125, uptimeSeconds: 3600.5, processID: 4711, isDraining: isDraining, isAlive: isAlive,
        limits: DataPlaneLimits(), connections: 100, blocksInUse: 16, listeners: listeners, routes: routes,
        sessions: sessions, reactors: [ReactorReport(counts: counters(counts), cpuSeconds: 12.5)], totals: totals,
        registrations: [.accepted: 7, .port: 1], sessionEnds: [.closed: 3, .breach: 1], linesLeftOut: 9,
        counters: counters(counts))
}

/// Many routes with figures: metrics of some megabytes.
func largeReport(routes: Int) -> Report {
    let figures = RouteFigures.with([.success: 123_456_789], [.durations: Array(repeating: 12_345, count: 16)])
    return report(
        routes: (0..<routes).map { route("host-\($0).example.com", "/a/path/of/some/length", figures: figures) })
}
