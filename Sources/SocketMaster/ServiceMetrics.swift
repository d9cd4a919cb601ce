import CoreMetrics
import Registration

/// What swift-metrics learns of a service. A session tells of its streams once for each of its reads at most, and once
/// a second, not for each stream.
///
/// They are made when the service is published: an application bootstraps its metrics before that.
struct ServiceMetrics: Sendable {
    /// Sessions that are registered now.
    private let sessions: Meter
    /// Streams of the proxy now: requests and raw connections, those included that the application has not accepted.
    private let streams: Meter
    /// Streams so far.
    private let streamsOpened: Counter
    /// Sessions that took the place of one that was lost, or that the proxy drains.
    private let reconnects: Counter
    /// Registrations that came to nothing.
    private let registrationsFailed: Counter

    init(service: String, port: Int, factory: any MetricsFactory = MetricsSystem.factory) {
        let dimensions = [("service", service), ("port", "\(port)")]
        func counter(_ label: String) -> Counter { Counter(label: label, dimensions: dimensions, factory: factory) }
        func meter(_ label: String) -> Meter { Meter(label: label, dimensions: dimensions, factory: factory) }
        sessions = meter("socketmaster_sessions")
        streams = meter("socketmaster_streams")
        streamsOpened = counter("socketmaster_streams_opened_total")
        reconnects = counter("socketmaster_reconnects_total")
        registrationsFailed = counter("socketmaster_registrations_failed_total")
    }

    func sessionBegan() { sessions.increment() }

    func sessionEnded() { sessions.decrement() }

    func reconnected() { reconnects.increment() }

    func registrationFailed() { registrationsFailed.increment() }

    /// - Parameters:
    ///   - opened: so many were opened.
    ///   - more: so many there are more than before, or fewer.
    func tellStreams(opened: Int, more: Int) {
        if opened > 0 { streamsOpened.increment(by: Int64(opened)) }
        if more > 0 { streams.increment(by: Double(more)) }
        if more < 0 { streams.decrement(by: Double(-more)) }
    }
}

extension SocketDefinition {
    /// What the service is called where it is told of: its own name, or what it serves.
    func title(_ configuration: SocketMasterConfiguration) -> String {
        if let name = configuration.name { return name.withoutKeys }
        guard let http else { return "raw" }
        return ((http.domainSuffix.isEmpty ? "*" : http.domainSuffix) + http.pathPrefix).withoutKeys
    }
}
