import Testing
import TestSupport

@testable import Proxy

@Suite struct IdleClientsTests {
    @Test(arguments: 0..<100) func `the longest idle comes first, of however many`(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var clients = IdleClients()
        let times = (0..<Int(random.next() % 100)).map { _ in random.next() % 50 }
        for (place, since) in times.enumerated() {
            clients.insert(IdleClient(connection: Int32(place), since: since))
        }
        var found: [UInt64] = []
        while let longest = clients.longest {
            found.append(longest.since)
            clients.removeLongest()
        }
        #expect(found == Array(times.sorted().prefix(32)))
        #expect(clients.isEmpty)
    }

    @Test func `the search goes round`() {
        var clients = IdleClients()
        #expect((0..<7).map { _ in clients.nextToLookAt(of: 3) } == [0, 1, 2, 0, 1, 2, 0])
    }
}
