import TLS
import Testing

@testable import Control

final class CertificateWatchTests {
    private var watch = CertificateWatch()
    private let day: Int64 = 86_400

    private func takes(_ fault: CertificateWatch.Fault, of identity: Identity, at now: Int64) -> Bool {
        watch.takes(fault, of: identity, at: now)
    }

    @Test func aCertificateIsComplainedOfFromFourteenDaysBeforeItsEnd() throws {
        let identity = try identity("a.example")
        let end = identity.notAfter
        #expect(CertificateWatch.fault(of: identity, at: identity.notBefore - 1) == .notYet)
        #expect(
            CertificateWatch.fault(of: identity, at: end - 14 * day - 1)
                == (end - 14 * day > identity.notBefore ? nil : .notYet))
        #expect(CertificateWatch.fault(of: identity, at: max(identity.notBefore, end - 14 * day)) == .expires)
        #expect(CertificateWatch.fault(of: identity, at: end) == .expires)
        #expect(CertificateWatch.fault(of: identity, at: end + 1) == .hasExpired)
    }

    @Test func eachFaultIsToldOnceADayOfACertificate() throws {
        let (first, second) = (try identity("a.example"), try identity("a.example"))
        let now = first.notAfter
        let isTold = (0..<5).map { takes(.expires, of: first, at: now + Int64($0)) }
        #expect(isTold == [true, false, false, false, false])
        #expect(takes(.expires, of: second, at: now))
        #expect(takes(.hasExpired, of: first, at: now + 1))
        #expect(takes(.doesNotCover("b.example"), of: first, at: now))
        #expect(!takes(.expires, of: first, at: now + day - 1))
        #expect(takes(.expires, of: first, at: now + day))
        #expect(!takes(.expires, of: first, at: now + day + 1))
    }

    @Test func aClockThatIsSetBackNeitherSilencesNorRepeats() throws {
        let identity = try identity("a.example")
        #expect(takes(.expires, of: identity, at: 1_000 * day))
        #expect(!takes(.expires, of: identity, at: 1_000 * day - 3_600))
        #expect(takes(.expires, of: identity, at: 900 * day))
        #expect(!takes(.expires, of: identity, at: 900 * day + 1))
    }

    @Test func whatIsRememberedIsBounded() throws {
        let identity = try identity("a.example")
        for number in 0..<3 * CertificateWatch.toldMaximum {
            #expect(takes(.doesNotCover("\(number).example"), of: identity, at: Int64(number)))
        }
        let last = 3 * CertificateWatch.toldMaximum - 1
        #expect(!takes(.doesNotCover("\(last).example"), of: identity, at: Int64(last)))
    }

    @Test func theNextLookIsWhenSomethingChangesAndSoonEnoughForAClockThatIsSet() throws {
        let identity = try identity("a.example")
        let end = identity.notAfter
        #expect(CertificateWatch.secondsToNextLook([identity], at: end - 5) == 6)
        #expect(CertificateWatch.secondsToNextLook([identity], at: end) == 1)
        #expect(CertificateWatch.secondsToNextLook([identity], at: end + 1) == CertificateWatch.lookSeconds)
        #expect(CertificateWatch.secondsToNextLook([identity], at: identity.notBefore - 1) == 1)
    }

    @Test(
        arguments: [
            ("a.example", "a.example", true), ("a.example", "b.example", false), ("a.example", "x.a.example", false),
            ("*.a.example", "x.a.example", true), ("*.a.example", "a.example", false),
            ("*.a.example", "x.y.a.example", false), ("*.a.example", ".a.example", true),
            ("x.a.example", ".a.example", true), ("a.example", ".a.example", false),
            ("xa.example", ".a.example", false), ("a.example", "", true), ("a.example", "127.0.0.1", true),
            ("a.example", "localhost", false),
        ])
    func aCertificateCoversItsNamesAndWhatItsStarStandsFor(name: String, domain: String, covers: Bool) throws {
        #expect(try identity(name).covers(domain: domain) == covers)
    }

    @Test(
        arguments: [
            (1, "1 minute"), (3_600, "60 minutes"), (3_601, "2 hours"), (86_399, "24 hours"),
            (86_401, "2 days"), (3 * 86_400 - 1, "3 days"), (14 * 86_400, "14 days"),
        ] as [(Int64, String)])
    func timesThatAreLeftAreRoundedUp(seconds: Int64, text: String) {
        #expect(roundedTime(seconds: seconds) == text)
    }
}
