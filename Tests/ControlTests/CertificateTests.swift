import CTLSClient
import Routing
import TLS
import Testing

@testable import Control

/// A certificate of nobody for one name.
func identity(_ name: String, _ kind: tc_kind = TC_P256) throws -> Identity {
    try TLSEnvironment.start(minimum: .v12)
    var certificate = [CChar](repeating: 0, count: 8192)
    var key = [CChar](repeating: 0, count: 8192)
    let isMade = unsafe "DNS:\(name)".withCString { names in
        var order = unsafe tc_order()
        unsafe order.kind = kind
        unsafe order.alternatives = names
        unsafe order.ends_in = 3600
        return unsafe tc_certificate(&order, &certificate, certificate.count, &key, key.count)
    }
    #expect(isMade)
    func bytes(_ text: [CChar]) -> [UInt8] { text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) } }
    return try Identity(chain: bytes(certificate), key: bytes(key))
}

extension World {
    /// The identities of a listener's next table that clients get for a name, by their places.
    fileprivate func served(_ name: String, on slot: Int = 0) -> (modern: Int?, rsa: Int?) {
        var registry = registry
        _ = registry.takeDefinitions()
        return registry.listeners[slot]?.certificates?.places(for: name) ?? (nil, nil)
    }

    /// What the log has to be told when the next snapshot is made.
    fileprivate mutating func news() -> [CertificateNews] {
        _ = registry.takeDefinitions()
        return registry.takeCertificateNews()
    }

    /// All identities of the routes, the newest last.
    fileprivate var kept: [Identity] {
        registry.routes.values.flatMap { $0.identities }.sorted { $0.number < $1.number }.map { $0.identity }
    }

    fileprivate func keeps(_ wanted: [Identity]) -> Bool {
        kept.count == wanted.count && zip(kept, wanted).allSatisfy { $0 === $1 }
    }

    /// Whether the next snapshot says that a listener speaks TLS.
    fileprivate func speaksTLS(_ slot: Int = 0) -> Bool {
        var registry = registry
        return registry.takeDefinitions().first { $0.index == slot }?.certificates ?? 0 != 0
    }
}

struct CertificateTests {
    @Test func aListenerSpeaksTLSAsLongAsARouteOfItHasACertificate() throws {
        var world = World(hold: 100)
        _ = world.register(port: 80, "/plain")
        #expect(!world.speaksTLS())
        let session = world.register(port: 80, "/tls", try identity("a.example"))
        #expect(world.registry.hasChanged && world.speaksTLS())
        #expect(world.news() == [.speaksTLS(local(80))])
        world.lose(session.handle)
        #expect(world.speaksTLS())
        world.pass(100)
        #expect(!world.speaksTLS())
        #expect(world.news() == [.speaksPlain(local(80))])
        #expect(world.registry.certificateTables.isEmpty)
    }

    @Test func oneListenersCertificatesAreNoneOfAnothers() throws {
        var world = World()
        _ = world.register(port: 80, "/", try identity("a.example"))
        _ = world.register(port: 81)
        #expect(world.speaksTLS(0) && !world.speaksTLS(1))
    }

    @Test func certificatesStayWhileTheirRouteIsHeldAndAreServedAgainAfterwards() throws {
        var world = World()
        let certificate = try identity("a.example")
        let first = world.register(port: 80, "/", certificate)
        world.lose(first.handle)
        #expect(world.keeps([certificate]) && world.speaksTLS())
        // The same one, read anew from the registration.
        _ = world.register(port: 80, "/", certificate)
        #expect(world.keeps([certificate]))
    }

    @Test func aRenewedCertificateIsServedAndTheFormerOneGoesWithItsSessions() throws {
        var world = World()
        let (old, new) = (try identity("a.example"), try identity("a.example"))
        let first = world.register(port: 80, "/", old)
        let second = world.register(port: 80, "/", new)
        #expect(world.keeps([old, new]))
        #expect(world.served("a.example").modern == 1)
        world.lose(first.handle)
        #expect(world.keeps([new]))
        world.lose(second.handle)
        #expect(world.keeps([new]))
    }

    @Test func aRenewalDuringAHoldLeavesNothingOfTheFormerCertificate() throws {
        var world = World()
        let (old, new) = (try identity("a.example"), try identity("a.example"))
        world.lose(world.register(port: 80, "/", old).handle)
        _ = world.register(port: 80, "/", new)
        #expect(world.keeps([new]))
    }

    @Test func aRenewalWithinARouteIsNoOverlap() throws {
        var world = World()
        _ = world.register(port: 80, "/", try identity("a.example"))
        _ = world.register(port: 80, "/", try identity("a.example"))
        #expect(world.news() == [.speaksTLS(local(80))])
    }

    @Test func theOlderOneOfTwoThatAreStillBroughtCountsAgainWhenItsServiceRegistersAgain() throws {
        var world = World()
        let (one, two) = (try identity("a.example"), try identity("a.example"))
        _ = world.register(port: 80, "/", one)
        _ = world.register(port: 80, "/", two)
        _ = world.register(port: 80, "/", one)
        #expect(world.keeps([two, one]))
        #expect(world.served("a.example").modern == 1)
    }

    @Test func equalCertificatesOfManySessionsAreOneAndStayWithTheLast() throws {
        var world = World()
        let (certificate, other) = (try identity("a.example"), try identity("a.example"))
        let sessions = (0..<3).map { _ in world.register(port: 80, "/", certificate) }
        #expect(world.keeps([certificate]))
        let newer = world.register(port: 80, "/", other)
        for session in sessions { world.lose(session.handle) }
        #expect(world.keeps([other]))
        world.lose(newer.handle)
        #expect(world.keeps([other]))
    }

    @Test func RSAAndECDSAStandSideBySideAndAreHeldTogether() throws {
        var world = World()
        let (rsa, modern) = (try identity("a.example", TC_RSA2048), try identity("a.example"))
        let first = world.register(port: 80, "/", rsa)
        let second = world.register(port: 80, "/", modern)
        #expect(world.served("a.example").modern == 1)
        #expect(world.served("a.example").rsa == 0)
        world.lose(first.handle)
        world.lose(second.handle)
        #expect(world.keeps([rsa, modern]))
        // The one that is first back does not cost the other one its clients.
        _ = world.register(port: 80, "/", modern)
        #expect(world.keeps([rsa, modern]))
        #expect(world.news().count == 1)
    }

    @Test func aServiceThatReturnsWithoutACertificateTakesTheHeldOneAway() throws {
        var world = World()
        world.lose(world.register(port: 80, "/", try identity("a.example")).handle)
        _ = world.register(port: 80)
        #expect(world.keeps([]) && !world.speaksTLS())
    }

    @Test func aSessionWithoutACertificateLeavesThoseOfItsSiblingsAlone() throws {
        var world = World()
        let certificate = try identity("a.example")
        _ = world.register(port: 80, "/", certificate)
        _ = world.register(port: 80)
        #expect(world.keeps([certificate]) && world.speaksTLS())
    }

    @Test func ofTwoRoutesForOneNameTheNewestHasItAndTheLogIsTold() throws {
        var world = World()
        _ = world.register(port: 80, "/a", try identity("a.example"))
        let second = world.register(port: 80, "/b", try identity("a.example"))
        #expect(world.served("a.example").modern == 1)
        let told = CertificateNews.overlap(
            names: ["a.example"], winner: "*/b on 127.0.0.1:80", loser: "*/a on 127.0.0.1:80")
        #expect(world.news() == [.speaksTLS(local(80)), told])
        world.lose(second.handle)
        world.pass(30_000)
        #expect(world.served("a.example").modern == 0)
        #expect(world.news().isEmpty)
    }

    @Test func oneCertificateOfTwoRoutesIsNoOverlap() throws {
        var world = World()
        let certificate = try identity("a.example")
        _ = world.register(port: 80, "/a", certificate)
        _ = world.register(port: 80, "/b", certificate)
        #expect(world.news() == [.speaksTLS(local(80))])
    }

    @Test func whoAsksForNoNameGetsTheNewestCertificateOfTheFirstRoute() throws {
        var world = World()
        _ = world.register(port: 80, "/a", try identity("a.example"))
        _ = world.register(port: 80, "/b", try identity("b.example"))
        #expect(world.served("").modern == 0)
        #expect(world.served("nobody.example").modern == 0)
        // The renewal is the newest of three, but of the first route.
        _ = world.register(port: 80, "/a", try identity("a.example"))
        #expect(world.served("").modern == 2)
        #expect(world.served("b.example").modern == 1)
    }

    @Test func aTableIsMadeAnewOnlyWhereCertificatesHaveChanged() throws {
        var world = World()
        _ = world.register(port: 80, "/", try identity("a.example"))
        _ = world.published()
        let table = try #require(world.registry.certificateTables.first)
        let other = world.register(port: 80, "/other")
        world.lose(other.handle)
        _ = world.published()
        #expect(world.registry.certificateTables.first === table)
    }
}
