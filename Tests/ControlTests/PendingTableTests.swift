import Registration
import Testing

@testable import Control

struct PendingTableTests {
    private func table(of count: Int) -> (PendingTable, [PendingRegistration]) {
        var table = PendingTable(capacity: 4)
        let registrations = (0..<count).map { index in
            table.add(anyDescriptor(), peer: "peer \(index)", now: UInt64(1_000 + index))
        }
        return (table, registrations)
    }

    @Test func aRegistrationHasFiveSecondsAltogether() {
        var (table, registrations) = table(of: 2)
        #expect(table.nextDeadline == 6_000)
        #expect(table.expired(now: 5_999).isEmpty)
        #expect(table.expired(now: 6_000).map { $0.id } == [registrations[0].id])
        table.remove(registrations[0])
        #expect(table.nextDeadline == 6_001)
        #expect(table.expired(now: 9_000).map { $0.id } == [registrations[1].id])
        table.remove(registrations[1])
        #expect(table.expired(now: 9_001).isEmpty && table.nextDeadline == .max)
    }

    /// It does not help to be slow: what counts is who has said something last.
    @Test func whenItIsFullTheOneThatWasSilentForLongestGoes() {
        let (table, registrations) = table(of: 4)
        #expect(table.isFull)
        registrations[0].lastHeard = 5_000
        #expect(table.leastPromising()?.id == registrations[1].id)
    }

    @Test func whenItIsFullOneThatHasItsAnswerGoesFirst() {
        var (table, registrations) = table(of: 4)
        table.move(registrations[3], to: .refused(bytesDropped: 0), deadline: 7_000)
        #expect(table.leastPromising()?.id == registrations[3].id)
    }

    @Test func bytesAreCountedAsLongAsTheyAreHeld() {
        var table = PendingTable(capacity: 100)
        var registrations: [PendingRegistration] = []
        // Half a certificate each: their sum is what has to be bounded.
        let half = [UInt8](repeating: 0x31, count: 900_000)
        var head = SocketDefinition(port: 80, tls: .init(certificate: half + half.prefix(100_000), key: [])).encoded()
        head.removeLast(200_000)
        while !table.isOverByteLimit && registrations.count < 100 {
            let registration = table.add(anyDescriptor(), peer: "", now: 0)
            #expect(table.receive(head.span, for: registration) == head.count)
            registrations.append(registration)
        }
        #expect(table.isOverByteLimit)
        #expect(registrations.count >= 30 && registrations.count < 100)
        #expect(table.largest() != nil)
        for registration in registrations { table.remove(registration) }
        #expect(!table.isOverByteLimit)
    }

    @Test func bytesOfARegistrationThatWasAnsweredAreGivenBack() {
        var table = PendingTable(capacity: 2)
        let registration = table.add(anyDescriptor(), peer: "", now: 0)
        _ = table.receive([UInt8](repeating: 0, count: 7).span, for: registration)
        table.move(registration, to: .refused(bytesDropped: 0), deadline: 1_000)
        #expect(registration.decoder.bufferedBytes == RegistrationDecoder().bufferedBytes)
        #expect(table.nextDeadline == 1_000)
    }
}
