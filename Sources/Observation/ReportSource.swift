internal import Control
internal import NIOCore

/// Reports for all connections: whoever asks while a question is open gets its answer, and for a moment the last one
/// is given to others. So no client can keep the control thread busy. It belongs to an event loop.
final class ReportSource {
    /// What ``ReportDesk/ask(isScrape:_:)`` does.
    typealias Ask = @Sendable (_ isScrape: Bool, _ answer: @escaping ReportDesk.Answer) -> Bool

    /// A place among those who wait.
    struct Ticket: Hashable {
        fileprivate let number: Int
    }

    private struct Waiter {
        let isScrape: Bool
        let take: (Report) -> Void
    }

    private let loop: any EventLoop
    private let ask: Ask
    private var waiting: [Ticket: Waiter] = [:]
    private var next = 0
    /// Questions that are open: with those of a monitoring system gone routes may be forgotten.
    private var isScrapeOpen = false
    private var isLookOpen = false
    private var last: (report: Report, isScrape: Bool, time: NIODeadline)?

    init(loop: any EventLoop, ask: @escaping Ask) {
        self.loop = loop
        self.ask = ask
    }

    /// A report that is young enough, if there is one.
    func report(isScrape: Bool) -> Report? {
        guard let last, last.isScrape || !isScrape, loop.now - last.time < Bounds.reportAge else { return nil }
        return last.report
    }

    /// Waits for the next report, until it has come or is forgotten.
    /// - Returns: nil if the control thread has been asked too much.
    func wait(isScrape: Bool, _ take: @escaping (Report) -> Void) -> Ticket? {
        let isOpen = isScrapeOpen || isLookOpen && !isScrape
        guard isOpen || question(isScrape: isScrape) else { return nil }
        let ticket = Ticket(number: next)
        next += 1
        waiting[ticket] = Waiter(isScrape: isScrape, take: take)
        return ticket
    }

    func forget(_ ticket: Ticket) { waiting[ticket] = nil }

    private func question(isScrape: Bool) -> Bool {
        let (loop, bound) = (self.loop, NIOLoopBound(self, eventLoop: self.loop))
        let isAsked = ask(isScrape) { report in
            // On the control thread, which must not wait.
            loop.execute { bound.value.take(report, isScrape: isScrape) }
        }
        if isAsked, isScrape { isScrapeOpen = true }
        if isAsked, !isScrape { isLookOpen = true }
        return isAsked
    }

    private func take(_ report: Report, isScrape: Bool) {
        if isScrape { isScrapeOpen = false } else { isLookOpen = false }
        last = (report, isScrape, loop.now)
        let served = waiting.filter { isScrape || !$0.value.isScrape }
        for ticket in served.keys { waiting[ticket] = nil }
        for waiter in served.values { waiter.take(report) }
    }
}
