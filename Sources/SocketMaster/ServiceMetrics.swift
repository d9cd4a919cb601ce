import CoreMetrics

/// What swift-metrics learns of a service. An application that has no metrics pays a call of a closure for each stream.
///
/// They are made when the service is published: an application bootstraps its metrics before that.
struct ServiceMetrics: Sendable {
    /// Sessions that are registered now.
    private let sessions: Meter
    /// Connections of clients that are open now.
    private let streams: Meter
    /// Connections of clients so far.
    private let streamsOpened: Counter
    /// Sessions that were registered in the place of one that had ended.
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

    /// - Parameter isAnother: it takes the place of one that has ended.
    func sessionBegan(isAnother: Bool) {
        sessions.increment()
        if isAnother { reconnects.increment() }
    }

    func sessionEnded() { sessions.decrement() }

    func registrationFailed() { registrationsFailed.increment() }

    /// There are so many streams more, or fewer.
    func streamsChanged(by count: Int) {
        if count > 0 {
            streams.increment(by: Double(count))
            streamsOpened.increment(by: Int64(count))
        } else if count < 0 {
            streams.decrement(by: Double(-count))
        }
    }
}

extension SocketDefinition {
    /// What the service is called where it is told of: its own name, or what it serves.
    func title(_ configuration: SocketMasterConfiguration) -> String {
        if let name = configuration.name { return name }
        guard let http else { return "raw" }
        return (http.domainSuffix.isEmpty ? "*" : http.domainSuffix) + http.pathPrefix
    }
}
