import Testing

@testable import Proxy

@Suite struct ParkedClientsTests {
    @Test func theOldestGoesFirstHoweverOftenTheRingGoesRound() {
        var parked = ParkedClients()
        var (next, oldest) = (Int32(0), Int32(0))
        for round in 0..<3 * ParkedClients.capacity {
            parked.append(ParkedClient(fd: next, listener: next % 7, generation: 1))
            next += 1
            // One in four stays, until there is no room.
            guard round % 4 != 0 || parked.isFull else { continue }
            let first = parked[0]
            #expect(first.fd == oldest && first.listener == oldest % 7)
            parked.removeFirst()
            oldest += 1
        }
        let (count, last) = (parked.count, parked[parked.count - 1])
        #expect(count == Int(next - oldest) && last.fd == next - 1)
        while !parked.isEmpty { parked.removeFirst() }
        let left = parked.count
        #expect(left == 0)
    }

    @Test func thereIsRoomForSoManyAndNoMore() {
        var parked = ParkedClients()
        for number in 0..<Int32(ParkedClients.capacity) {
            let wasFull = parked.isFull
            #expect(!wasFull)
            parked.append(ParkedClient(fd: number, listener: 0, generation: 1))
        }
        let isFull = parked.isFull
        #expect(isFull)
    }

    @Test func whoIsNotThereCannotBeLookedAt() async {
        await #expect(processExitsWith: .failure) { _ = ParkedClients()[0] }
        await #expect(processExitsWith: .failure) {
            var parked = ParkedClients()
            parked.removeFirst()
        }
    }
}
