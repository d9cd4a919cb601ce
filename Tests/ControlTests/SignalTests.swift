import CKernel
import Glibc
import Memory
import Proxy
import Routing
import Testing

@testable import Control

struct SignalTests {
    @Test func whatEndsAProgramByTradition() {
        for signal in [SIGTERM, SIGINT, SIGQUIT] { #expect(SignalMeaning(signal) == .end(exitCode: 0)) }
        #expect(SignalMeaning(SIGPWR) == .endInGoodOrder(exitCode: 0))
        #expect(SignalMeaning(SIGXCPU) == .endInGoodOrder(exitCode: 152))
    }

    /// Real-time signals as well.
    @Test func everyOtherSignalIsHarmlessAndHasASentence() {
        for signal in [SIGHUP, SIGUSR2, SIGALRM, SIGIO, SIGSTKFLT] + Array(34...64) {
            guard case .nothing(let sentence) = SignalMeaning(signal) else {
                Issue.record("\(signal) does something")
                continue
            }
            #expect(!sentence.isEmpty && !SignalMeaning.name(of: signal).isEmpty)
        }
    }

    @Test func aFloodOfASignalIsALineASecondThatCountsTheOthers() {
        var pace = SignalPace()
        var told: [Int] = []
        for now in UInt64(10_000)..<13_000 {
            if let leftOut = pace.admitLine(of: SIGHUP, now: now) { told.append(leftOut) }
        }
        #expect(told == [0, 999, 999])
        #expect(pace.admitLine(of: SIGUSR2, now: 12_999) == 0)
    }

    /// A test or a script waits for what it has asked for.
    @Test func everybodyWhoAsksForFiguresGetsThem() {
        var pace = SignalPace()
        var told: [UInt64] = []
        for now in UInt64(10_000)...10_120 {
            if now <= 10_100 { pace.askForFigures(now: now) }
            if pace.takeFigures(now: now) { told.append(now) }
        }
        #expect(told == [10_000, 10_050, 10_100] && pace.figuresDueAt == nil)
        pace.askForFigures(now: 10_121)
        #expect(pace.figuresDueAt == 10_150)
    }
}

/// Reactors that take nothing: there are none.
struct CommandBacklogTests {
    private func command(_ number: Int32, _ kind: Command.Kind = .prepareListener) -> Command {
        var command = Command(kind)
        command.listener = number
        return command
    }

    private func makePlane() throws -> Plane {
        var limits = DataPlaneLimits()
        limits.reactors = 2
        let publisher = SnapshotPublisher(
            reactors: 2, first: SnapshotBuilder.build(generation: 1, listeners: [], hashSeed: 1))
        return try Plane(limits: limits, mailboxes: publisher.mailboxes)
    }

    @Test func aFullQueueKeepsNobodyWaitingAndLosesNothing() throws {
        let plane = try makePlane()
        var backlog = CommandBacklog(reactors: 2)
        let capacity = plane.peers[1].commands.capacity
        for number in 0..<Int32(capacity + 5) {
            backlog.send(command(number), to: 1, of: plane)
            backlog.send(command(number, .probeSession), to: 1, of: plane)
        }
        var isDelivered = backlog.deliver(to: plane)
        #expect(backlog.silentReactors == [1] && !isDelivered)
        // Others are not concerned.
        backlog.send(command(7), to: 0, of: plane)
        #expect(plane.peers[0].commands.pop()?.listener == 7)
        var next = Int32(0)
        while let taken = plane.peers[1].commands.pop() {
            #expect(taken.listener == next || taken.kind == .probeSession)
            if taken.kind == .prepareListener { next = taken.listener + 1 }
            isDelivered = backlog.deliver(to: plane)
        }
        #expect(next == Int32(capacity + 5) && isDelivered)
    }

    /// What is sent later must not overtake what waits.
    @Test func roomInTheQueueIsForTheOldestFirst() throws {
        let plane = try makePlane()
        var backlog = CommandBacklog(reactors: 2)
        let capacity = plane.peers[0].commands.capacity
        for number in 0...Int32(capacity) { backlog.send(command(number), to: 0, of: plane) }
        #expect(plane.peers[0].commands.pop()?.listener == 0)
        backlog.send(command(Int32(capacity) + 1), to: 0, of: plane)
        var isDelivered = backlog.deliver(to: plane)
        #expect(!isDelivered)
        for number in 1...Int32(capacity) { #expect(plane.peers[0].commands.pop()?.listener == number) }
        isDelivered = backlog.deliver(to: plane)
        #expect(isDelivered)
        #expect(plane.peers[0].commands.pop()?.listener == Int32(capacity) + 1)
    }
}
