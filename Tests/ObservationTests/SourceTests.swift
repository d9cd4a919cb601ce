import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import Control
@testable import Observation

/// The control thread, as far as anybody asks it.
final class FakeDesk: Sendable {
    private let questions = Mutex<[(isScrape: Bool, answer: ReportDesk.Answer)]>([])
    private let count = Mutex(0)
    private let isFull = Mutex(false)

    var ask: ReportSource.Ask {
        { isScrape, answer in
            if self.isFull.withLock({ $0 }) { return false }
            self.count.withLock { $0 += 1 }
            self.questions.withLock { $0.append((isScrape, answer)) }
            return true
        }
    }

    /// How often it was asked.
    var asked: Int { count.withLock { $0 } }

    func beFull() { isFull.withLock { $0 = true } }

    func answer(_ report: Report) {
        let open = questions.withLock { questions in
            defer { questions = [] }
            return questions
        }
        for question in open { question.answer(report) }
    }
}

struct SourceTests {
    private let loop = EmbeddedEventLoop()
    private let desk = FakeDesk()

    @Test func `who asks while a question is open gets its answer`() {
        let source = ReportSource(loop: loop, ask: desk.ask)
        var told: [Int32] = []
        for _ in 0..<10 { _ = source.wait(isScrape: false) { told.append($0.processID) } }
        #expect(desk.asked == 1)
        desk.answer(report())
        loop.run()
        #expect(told.count == 10)
    }

    /// What a monitoring system has been told may be forgotten, so it has to be told it.
    @Test func `an answer for a look is none for a scrape`() {
        let source = ReportSource(loop: loop, ask: desk.ask)
        var looks = 0
        var scrapes = 0
        _ = source.wait(isScrape: false) { _ in looks += 1 }
        _ = source.wait(isScrape: true) { _ in scrapes += 1 }
        #expect(desk.asked == 2)
        desk.answer(report())
        loop.run()
        #expect(looks == 1 && scrapes == 1)
        // The other way round one will do.
        loop.advanceTime(by: .seconds(1))
        _ = source.wait(isScrape: true) { _ in }
        _ = source.wait(isScrape: false) { _ in }
        #expect(desk.asked == 3)
    }

    @Test func `the control thread is asked five times a second at most`() {
        let source = ReportSource(loop: loop, ask: desk.ask)
        for _ in 0..<1_000 {
            if source.report(isScrape: true) == nil { _ = source.wait(isScrape: true) { _ in } }
            desk.answer(report())
            loop.run()
            loop.advanceTime(by: .milliseconds(1))
        }
        #expect(desk.asked == 5)
    }

    @Test func `who has left is told nothing, and a full desk refuses`() throws {
        let source = ReportSource(loop: loop, ask: desk.ask)
        let ticket = try #require(source.wait(isScrape: false) { _ in Issue.record("it has left") })
        source.forget(ticket)
        desk.answer(report())
        loop.run()
        desk.beFull()
        #expect(source.wait(isScrape: true) { _ in } == nil)
    }
}
