internal import CKernel
internal import Logging
internal import Reactor
internal import Synchronization

/// Brings the log's lines to standard error without ever waiting for whoever reads them.
///
/// The control thread writes them and calls `attend` when `nextDue` has come and `resume` when the descriptor that
/// `isWaiting` is about takes more. The lock is there for the type's sake: nobody else writes.
final class LogWriter: Sendable {
    private struct State {
        var rates = LineRates()
        var queue = LogQueue { KernelText.timestamp }
        /// When lost lines are told of, if no line comes before.
        var retryAt: UInt64?
    }

    private static let retryMilliseconds: UInt64 = 1_000

    /// Standard error, or the same once more: its writes never wait then.
    let fd: Int32
    private let state = Mutex(State())

    init() {
        let again = ck_open_again(2)
        fd = again >= 0 ? again : 2
    }

    deinit {
        if fd != 2 { _ = ck_close_now(fd) }
    }

    /// - Parameter subject: whose rate counts; nil: none does.
    func write(_ line: String, _ level: Logger.Level, about subject: LogSubject?) {
        let now = Sockets.nowMilliseconds()
        state.withLock { state in
            if let subject, !state.rates.admit(subject, isUrgent: level >= .warning, now: now) { return }
            state.queue.append("\(KernelText.timestamp) \(level) \(line)")
            send(&state, now: now)
        }
    }

    /// When `attend` has something to do.
    var nextDue: UInt64 { state.withLock { min($0.rates.nextSummary ?? .max, $0.retryAt ?? .max) } }

    /// How many lines were lost so far.
    var linesLeftOut: UInt64 { state.withLock { $0.queue.linesLeftOut } }

    /// Lines are left that the descriptor does not take yet.
    var isWaiting: Bool { state.withLock { !$0.queue.isEmpty } }

    /// Tells what was left out, if it is time.
    func attend(now: UInt64) {
        state.withLock { state in
            let isDue = min(state.rates.nextSummary ?? .max, state.retryAt ?? .max) <= now
            guard isDue else { return }
            for summary in state.rates.takeSummaries(now: now) {
                state.queue.append("\(KernelText.timestamp) warning \(summary)", worth: summary.count)
            }
            state.queue.retry()
            send(&state, now: now)
        }
    }

    /// There is room again.
    func resume() {
        state.withLock { send(&$0, now: Sockets.nowMilliseconds()) }
    }

    /// The program ends: what is left has so long to be read.
    func finish(milliseconds: UInt64) {
        attend(now: .max)
        let end = Sockets.nowMilliseconds() + milliseconds
        while isWaiting {
            let now = Sockets.nowMilliseconds()
            guard now < end, ck_await_writable(fd, Int32(clamping: end - now)) else { return }
            resume()
        }
    }

    private func send(_ state: inout State, now: UInt64) {
        state.queue.write { KernelText.writeNow($0, to: fd) }
        let retries = state.queue.hasFailed && !state.queue.hasNoReader
        state.retryAt = retries ? now.addingReportingOverflow(Self.retryMilliseconds).partialValue : nil
    }
}
