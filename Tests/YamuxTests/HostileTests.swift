import Testing
import TestSupport
import Yamux

/// Whatever a peer sends is a breach or is dropped; it never traps, and it never makes us answer without bound.
@Suite struct HostileTests {
    @Test func randomBytesNeverTrap() {
        for seed in seeds(400) {
            var generator = SeededGenerator(seed: seed)
            let opener = Opener(seed: seed)
            opener.jobs = [Opener.Job(bytes: 1000), Opener.Job(bytes: 5)]
            opener.step(now: 0, isHasty: true)
            for step in 0..<20 where opener.breach == .none {
                var bytes = (0..<generator.number(0...60)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
                // A version and a type that exist carry them further in.
                if bytes.count > 1, step > 0 || generator.oneIn(2) {
                    bytes.replaceSubrange(0...1, with: [0, bytes[1] & 3])
                }
                opener.receive(bytes, now: UInt64(step))
                opener.step(now: UInt64(step), isHasty: false)
            }
        }
    }

    @Test func randomOperationsNeverTrap() {
        for seed in seeds(3000) {
            var generator = SeededGenerator(seed: seed)
            let input = (0..<generator.number(0...400)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            var operations = YamuxOperations(input[...])
            operations.run()
        }
    }

    /// What random bytes hardly come to: many streams one after another, reset, acknowledged and answered for.
    @Test func operationsWithIDsThatGoRoundKeepTheBooks() {
        var rounds = 0
        for seed in seeds(300) {
            var generator = SeededGenerator(seed: seed)
            // Ids of 6 bits that begin anywhere, and a queue that is rarely full.
            var input: [UInt8] = [UInt8(generator.number(0...63)) << 2 | 2, 40, 0, 1, 0, 1, 0, 1]
            for _ in 0..<400 {
                let any = UInt8(generator.number(0...255))
                let operations: [[UInt8]] = [
                    [0, 1], [0, any], [3, any], [4, any], [8, any], [2, any],
                    // A window update with ACK, or with FIN, and a pong of one of the last pings.
                    [12, 9, any, 0, 2, 0], [12, 9, any, 0, 6, 0], [12, 70, 0, 0, any, 0],
                ]
                input += operations.randomElement(using: &generator) ?? []
            }
            var operations = YamuxOperations(input[...])
            operations.run()
            if operations.haveIDsGoneRound { rounds += 1 }
        }
        #expect(rounds > 100)
    }

    /// A real exchange in which bits flip and bytes vanish or come twice on their way to us.
    @Test(arguments: World.Kind.allCases)
    func damagedExchangesNeverTrap(kind: World.Kind) {
        for seed in seeds(40) {
            var world = World(seed: seed, kind: kind)
            world.damageOneIn = 1 + seed % 60
            world.run(steps: 150)
            let isSound = world.opener.violations.allSatisfy { $0.hasPrefix("wrong bytes") }
            #expect(isSound, "\(kind), seed \(seed): \(world.opener.violations)")
        }
    }

    /// Ten thousand pings and two hundred thousand streams at once: a bounded number of answers, then the end.
    @Test(arguments: [FrameHeader.ping(1), .credit(2, 0, .syn), .data(4, 0, .syn)])
    func floodsAreAnsweredBoundedly(header: FrameHeader) {
        let opener = Opener(seed: 0)
        for _ in 0..<2000 where opener.breach == .none {
            opener.receive(header.bytes + header.bytes, now: 7)
        }
        #expect(opener.breach == (header.type == .ping ? .pingFlood : .synFlood))
        #expect(opener.takeOutbound().count == 1000 * FrameHeader.byteCount)
    }
}
