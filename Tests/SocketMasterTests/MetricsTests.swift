import MetricsTestKit
import NIOCore
import NIOEmbedded
import Testing

@testable import SocketMaster

/// What an application's metrics learn of its service.
@Suite struct MetricsTests {
    private let factory = TestMetrics()
    private let dimensions = [("service", "web"), ("port", "80")]
    private var metrics: ServiceMetrics { ServiceMetrics(service: "web", port: 80, factory: factory) }

    private func counter(_ label: String) throws -> Int64 {
        try factory.expectCounter("socketmaster_\(label)_total", dimensions).totalValue
    }

    private func meter(_ label: String) throws -> Double? {
        try factory.expectMeter("socketmaster_\(label)", dimensions).lastValue
    }

    @Test func `streams that are open are counted up and down, and those of a lost session are gone`() throws {
        var settings = SessionSettings()
        settings.metrics = metrics
        let fixture = try Fixture(settings)
        for _ in 0..<3 { fixture.send(fixture.proxy.open([1])) }
        #expect(try meter("streams") == 3 && counter("streams_opened") == 3)
        fixture.acceptor.accepted[0].stream.close(promise: nil)
        fixture.exchange()
        fixture.advance(by: .seconds(60))
        #expect(try meter("streams") == 2 && counter("streams_opened") == 3)
        _ = try? fixture.channel.finish(acceptAlreadyClosed: true)
        #expect(try meter("streams") == 0 && counter("streams_opened") == 3)
    }

    @Test func `sessions, those that take the place of another one, and failures are counted`() throws {
        let fixture = PoolFixture(metrics: metrics) { $0.sessions = 2 }
        fixture.start()
        #expect(try meter("sessions") == 2 && counter("reconnects") == 0)
        fixture.answer = .failure(RegistrationFailure.broken("refused"))
        fixture.lose(0)
        #expect(try meter("sessions") == 1)
        fixture.advance(by: .seconds(5))
        #expect(try counter("registrations_failed") > 1)
        fixture.answer = .success([:])
        fixture.advance(by: .seconds(2))
        #expect(try meter("sessions") == 2 && counter("reconnects") == 1)
    }

    @Test func `an end, a withdrawal and a proxy without attributes are no failures`() throws {
        let ending = PoolFixture(metrics: metrics)
        ending.answer = nil
        ending.start()
        ending.shutDown()
        #expect(ending.hasEnded)
        #expect(try counter("registrations_failed") == 0 && counter("reconnects") == 0)

        let withdrawn = PoolFixture(metrics: metrics)
        withdrawn.start()
        #expect(withdrawn.setWithdrawn(true) && withdrawn.setWithdrawn(false))
        withdrawn.advance(by: .seconds(5))
        #expect(try counter("registrations_failed") == 0 && counter("reconnects") == 0)

        let old = PoolFixture(metrics: metrics)
        old.complaint = .attributesUnknown
        old.start()
        #expect(old.live == 1)
        #expect(try counter("registrations_failed") == 0)
    }

    @Test func `a service is called by its name, or by what it serves`() {
        var configuration = SocketMasterConfiguration()
        #expect(SocketDefinition(port: 80).title(configuration) == "raw")
        #expect(SocketDefinition(port: 80, http: .init(pathPrefix: "/a")).title(configuration) == "*/a")
        #expect(SocketDefinition(port: 80, http: .init(domainSuffix: "a.b")).title(configuration) == "a.b")
        configuration.name = "web"
        #expect(SocketDefinition(port: 80).title(configuration) == "web")
    }
}
