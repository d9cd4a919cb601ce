internal import Logging
internal import Proxy

// Clients that were turned away. Reactors count and ring; what has come together makes a line a listener, once a second
// at most, and a moment after the first of them.
extension ControlThread {
    /// Reactors have news, and there may be failures among them.
    func noteFailures() {
        guard failures.dueAt == nil, failures.hasNews(plane) else { return }
        failures.dueAt = max(
            now + FailureNews.gatheringMilliseconds, failures.toldAt + FailureNews.pauseMilliseconds)
    }

    func tellFailures() {
        guard let due = failures.dueAt, due <= now else { return }
        failures.dueAt = nil
        if failures.hasNews(plane) { failures.newsAt = now }
        tellFailuresOfAll()
        tellPause()
        // A reactor rings once a second at most. What it has counted since is found by looking again.
        let isQuiet = now >= failures.newsAt + 2 * FailureNews.pauseMilliseconds && failures.pause == nil
        if !isQuiet { failures.dueAt = now + FailureNews.pauseMilliseconds }
    }

    /// Reactors have stopped: nothing is counted any more.
    func tellLastFailures() {
        guard failures.hasNews(plane) else { return }
        tellFailuresOfAll()
    }

    /// The listener has been closed, and its figures will be another one's.
    func tellLastFailures(ofListener slot: Int, _ listener: ListenerTable.Listener) {
        tellFailures(ofListener: slot, generation: listener.generation, at: "\(listener.address)")
        failures.figures[slot] = nil
    }

    private func tellFailuresOfAll() {
        failures.toldAt = now
        failures.told = plane.sum(.failed)
        for (slot, listener) in registry.listeners.open + registry.listeners.closing {
            tellFailures(ofListener: slot, generation: listener.generation, at: "\(listener.address)")
        }
        // Those whose listener has been closed while they were served.
        tellFailures(ofListener: plane.limits.listeners, generation: 0, at: "ports that have been closed")
    }

    private func tellFailures(ofListener slot: Int, generation: UInt32, at place: String) {
        // The figures of a listener begin at 0 with it.
        let before = failures.figures[slot].flatMap { $0.generation == generation ? $0.figures : nil }
        // Nothing has failed: that is seen by one figure.
        guard plane.sum(.failures, ofListener: slot) != before?.sum ?? 0 else { return }
        let current = FailureFigures(plane, slot)
        failures.figures[slot] = (generation, current)
        guard let sentence = current.sentence(since: before ?? FailureFigures(), counterTexts) else { return }
        log.warning("failed on \(place): \(sentence)")
    }
}

/// What the log has been told of clients that were turned away or have to wait.
struct FailureNews {
    /// How long failures that come together are waited for, and how long no second line follows.
    static let gatheringMilliseconds: UInt64 = 100
    static let pauseMilliseconds: UInt64 = 1_000

    /// When it is looked at the figures next.
    var dueAt: UInt64?
    var toldAt: UInt64 = 0
    /// When there was something new.
    var newsAt: UInt64 = 0
    /// All failures that have been looked at.
    var told: UInt64 = 0
    var figures: [Int: (generation: UInt32, figures: FailureFigures)] = [:]
    /// New clients wait.
    var pause: AcceptPause?
    /// How often reactors had begun to let nobody in when it was looked at last: for each reason.
    var pausesAtLimit: UInt64 = 0
    var pausesByError: UInt64 = 0

    func hasNews(_ plane: Plane) -> Bool {
        plane.sum(.failed) != told || plane.sum(.pausesAtLimit) != pausesAtLimit
            || plane.sum(.pausesByError) != pausesByError
    }
}

/// The figures of a listener that tell of failures.
struct FailureFigures {
    /// Of all failures.
    private(set) var sum: UInt64 = 0
    private var counts: [ListenerCounter: UInt64] = [:]

    init() {}

    init(_ plane: Plane, _ slot: Int) {
        // Before the others: what comes in between is news for the next time.
        sum = plane.sum(.failures, ofListener: slot)
        for counter in ListenerCounter.allCases where counter.isFailure {
            counts[counter] = plane.sum(counter, ofListener: slot)
        }
    }

    /// Nil: nothing has failed since then.
    func sentence(since before: FailureFigures, _ texts: [CounterText]) -> String? {
        var parts: [String] = []
        for text in texts where text.counter.isFailure {
            let (count, told) = (counts[text.counter] ?? 0, before.counts[text.counter] ?? 0)
            // A reactor that opens the listener anew may not have come to it yet.
            if count > told { parts.append(text.clause(count - told)) }
        }
        return parts.isEmpty ? nil : parts.joined(separator: "; ")
    }
}
