import Testing
import TestSupport
import Yamux

/// Our end and a Go service in virtual time, with delays, any segmentation and a workload from a seed.
struct World {
    enum Kind: UInt64, CaseIterable { case mixed, bulk, backlog, goAway, ids, border }

    let opener: Opener
    let service: GoService
    private var toService = Link()
    private var toOpener = Link()
    private var generator: SeededGenerator
    private(set) var now: UInt64 = 0
    /// One in so many pieces on their way to us is damaged; 0 for none.
    var damageOneIn: UInt64 = 0
    private let latency: Int
    /// A slow world gives timeouts their turn.
    private let pace: Int
    private let goesAwayAt: Int
    private let kind: Kind

    init(seed: UInt64, kind: Kind) {
        generator = SeededGenerator(seed: seed &* 1_000_003 &+ kind.rawValue)
        let (limits, firstStreamID) = World.ids(of: kind, &generator)
        opener = Opener(seed: generator.next(), limits: limits, firstStreamID: firstStreamID)
        service = GoService(seed: generator.next())
        latency = generator.oneIn(2) ? 0 : generator.number(0...40)
        pace = generator.oneIn(3) ? 40 : 4
        goesAwayAt = generator.number(1...40)
        self.kind = kind
        if generator.oneIn(2) { service.closeTimeout = UInt64(generator.number(1...300)) }
        switch kind {
        case .mixed:
            service.acceptOneIn = UInt64(generator.number(1...60))
            setUp(jobs: 30, bytes: 3_000)
        case .bulk:
            service.maximumBytesToWrite = 900_000
            setUp(jobs: 4, bytes: 900_000)
        case .backlog:
            service.acceptOneIn = UInt64(generator.number(1...400))
            service.acceptsFrom = UInt64(generator.oneIn(2) ? 0 : generator.number(0...6000))
            setUp(jobs: 500, bytes: 40)
        case .goAway:
            service.acceptOneIn = UInt64(generator.number(1...10))
            setUp(jobs: 100, bytes: 500)
        case .ids:
            service.backlog = Int(limits.unacknowledgedMaximum)
            service.idMask = 63
            service.acceptOneIn = UInt64(generator.number(1...8))
            opener.maximum = generator.number(4...40)
            setUp(jobs: 300, bytes: 600)
        case .border:
            service.acceptOneIn = UInt64(generator.number(1...20))
            setUp(jobs: 80, bytes: 900)
        }
    }

    /// Ids of 6 bits, which go round again and again, or of 32 shortly before they do.
    private static func ids(of kind: Kind, _ generator: inout SeededGenerator) -> (SessionLimits, UInt32?) {
        var limits = SessionLimits()
        switch kind {
        case .mixed, .bulk, .backlog, .goAway: return (limits, nil)
        case .ids:
            limits.streamIDBits = 6
            limits.unacknowledgedMaximum = UInt32(generator.number(1...8))
            limits.probeIntervalMilliseconds = 100
            return (limits, UInt32(2 * generator.number(0...31) + 1))
        case .border: return (limits, UInt32.max - UInt32(2 * generator.number(0...70)))
        }
    }

    private mutating func setUp(jobs: Int, bytes: Int) {
        let abortOneIn = UInt64(generator.number(1...12))
        for _ in 0..<jobs {
            var job = Opener.Job(bytes: generator.oneIn(5) ? 0 : generator.number(0...bytes))
            if generator.oneIn(abortOneIn) { job.abortsAfter = UInt64(generator.number(0...150)) }
            if generator.oneIn(6) { job.patience = UInt64(generator.number(0...60)) }
            job.isLazy = generator.oneIn(8)
            if generator.oneIn(8) { job.lives = UInt64(generator.number(0...3000)) }
            opener.jobs.append(job)
        }
    }

    private mutating func exchange(isHasty: Bool) {
        let delay = { (generator: inout SeededGenerator, latency: Int) in UInt64(latency + generator.number(0...3)) }
        toService.write(opener.takeOutbound(), due: now + delay(&generator, latency))
        toOpener.write(service.takeOutbound(), due: now + delay(&generator, latency))
        let most = isHasty ? 1 << 20 : generator.number(0...(generator.oneIn(4) ? 40 : 100_000))
        service.receive(toService.read(now: now, maximum: most), now: now)
        opener.receive(damaged(toOpener.read(now: now, maximum: most)), now: now)
    }

    private mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
        guard damageOneIn > 0, !bytes.isEmpty, generator.oneIn(damageOneIn) else { return bytes }
        var bytes = bytes
        // Headers stand at the beginning more often than elsewhere.
        let place = generator.number(0...(generator.oneIn(2) ? min(11, bytes.count - 1) : bytes.count - 1))
        switch generator.number(0...3) {
        case 0: bytes[place] ^= 1 << UInt8(generator.number(0...7))
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(contentsOf: bytes[..<place], at: place)
        default: bytes.removeSubrange(place...)
        }
        return bytes
    }

    mutating func run(steps: Int) {
        for step in 0..<steps {
            now += UInt64(generator.number(0...pace))
            opener.step(now: now, isHasty: false)
            service.step(now: now, isHasty: false)
            if generator.oneIn(100) { service.ping() }
            if kind == .goAway, step == goesAwayAt { service.goAway() }
            exchange(isHasty: false)
        }
    }

    /// Goes on until nothing is left to do. False if that does not come about.
    mutating func settle() -> Bool {
        for _ in 0..<20_000 {
            now += 5
            opener.step(now: now, isHasty: true)
            service.step(now: now, isHasty: true)
            exchange(isHasty: true)
            if opener.breach != .none || opener.isDead { return false }
            let isOver = opener.streams.isEmpty && opener.jobs.isEmpty && service.isQuiet
            if isOver, service.pingsUnanswered == 0, toService.isEmpty, toOpener.isEmpty { return true }
        }
        return false
    }

    /// Opens one stream, which the service accepts.
    mutating func openOneMore() {
        opener.jobs.append(Opener.Job(bytes: 1))
    }
}

@Suite struct ModelTests {
    /// What must be true at the end of any schedule.
    private func check(_ world: World, _ place: String) {
        #expect(world.opener.violations.isEmpty && world.opener.breach == .none, "\(place): \(world.opener.breach)")
        #expect(world.service.violations.isEmpty, "\(place)")
        #expect(world.service.overflows <= world.opener.probes, "\(place): only a probe may find the queue full")
        #expect(world.service.everyStream.map(\.id) == world.opener.announced, "\(place): the order of streams")
        for (number, fate) in world.opener.fates where number < world.service.everyStream.count {
            let stream = world.service.everyStream[number]
            let place = "\(place): stream \(number) of id \(stream.id)"
            switch fate {
            case .refused: #expect(!stream.isAccepted, "\(place) was refused and accepted")
            case .takenBack: #expect(stream.delivered == 0, "\(place) was taken back and delivered")
            case .complete:
                #expect(stream.written == world.opener.receivedCounts[number, default: 0], "\(place) is cut short")
            case .reset, .aborted, .takenBackTooLate: break
            }
        }
    }

    @Test(arguments: World.Kind.allCases)
    func everyScheduleKeepsTheRulesAndComesToAnEnd(kind: World.Kind) {
        let usual = kind == .mixed ? 1200 : kind == .ids ? 300 : 100
        for seed in seeds(usual) {
            let place = "\(kind), seed \(seed)"
            var world = World(seed: seed, kind: kind)
            world.run(steps: kind == .backlog || kind == .ids ? 700 : 250)
            let isSettled = world.settle()
            #expect(isSettled, "\(place) does not end")
            check(world, place)
            #expect(kind != .ids || world.opener.session.hasGoneRound, "\(place): too few streams")
            guard world.opener.breach == .none, !world.opener.session.isDraining else { continue }
            // What was aborted last shows as gone when a later stream is accepted.
            world.openOneMore()
            let isSettledAgain = world.settle()
            #expect(isSettledAgain, "\(place) does not end")
            #expect(world.opener.session.unacknowledged == 0, "\(place): places are lost")
            check(world, place)
        }
    }
}
