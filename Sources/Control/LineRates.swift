/// What a line of the log is about: what has happened, and to whom. Lines about the same share a rate.
struct LogSubject: Hashable, Sendable {
    /// How many lines may come at once, and how many a second from then on.
    enum Allowance: Sendable {
        /// For one route.
        case route
        /// For what stands for many: the ports of one kind that nobody has named, one machine's bad registrations.
        case many

        var burst: Int { self == .route ? 50 : 120 }
        var perSecond: Int { self == .route ? 2 : 5 }
    }

    /// The words that the line begins with: `session lost`.
    let event: String
    /// For people: `*/api on 127.0.0.1:8000`. Empty: the event is all there is to it.
    let place: String
    let allowance: Allowance
    /// Of what `place` is short for, which may be long.
    private let identity: Int

    init(_ event: String, _ place: String, identity: Int? = nil, allowance: Allowance = .route) {
        self.event = event
        self.place = place
        self.allowance = allowance
        self.identity = identity ?? place.hashValue
    }

    /// Of a line that does not say what it is about: what comes before its colon.
    init(ofLine line: String) {
        self.init(String(line.split(separator: ": ", maxSplits: 1).first?.prefix(80) ?? ""), "")
    }
}

extension LogSubject: CustomStringConvertible {
    var description: String { place.isEmpty ? event : "\(event), \(place)" }
}

/// Keeps what services and strangers can cause from filling the log, however often they cause it: so many lines at once
/// and so many a second about each subject, then a count. One loop does not take the lines of others away, and many
/// routes that change at once lose none. A bound for all of them keeps those out who are somebody else each time.
///
/// Pure: the time comes in. `admit` for every line; `takeSummaries` as soon as `nextSummary` has come.
struct LineRates {
    /// Subjects that are known at once; beyond it the half that was silent for longest is forgotten.
    static let subjectsMaximum = 4_096
    /// Of all subjects together: five lines of each of 2000 services that restart at once. What is urgent has as much
    /// of its own.
    static let burst = 10_000
    static let perSecond = 100
    static let summaryMilliseconds: UInt64 = 1_000
    /// Summaries at once that name their subject; the others share one.
    static let summariesMaximum = 16

    /// The lines that were left out about a subject; without one: about several.
    struct Summary: Equatable {
        let count: Int
        let subject: LogSubject?
    }

    private struct Bucket {
        /// In thousandths of a line.
        var level: Int
        /// When the level was true, which is when a line came last.
        var since: UInt64
        var leftOut = 0

        mutating func take(burst: Int, perSecond: Int, now: UInt64) -> Bool {
            let milliseconds = Int(clamping: now - min(since, now))
            // No allowance needs longer to be whole again.
            level = min(burst * 1_000, level + min(milliseconds, 120_000) * perSecond)
            since = now
            guard level >= 1_000 else { return false }
            level -= 1_000
            return true
        }
    }

    private var buckets: [LogSubject: Bucket] = [:]
    private var usual = Bucket(level: Self.burst * 1_000, since: 0)
    private var urgent = Bucket(level: Self.burst * 1_000, since: 0)
    /// Of subjects that are forgotten.
    private var leftOutOfOthers = 0
    /// When somebody has to be told what was left out.
    private(set) var nextSummary: UInt64?

    /// Whether one more line may be written about a subject.
    /// - Parameter isUrgent: it is a warning, or worse.
    mutating func admit(_ subject: LogSubject, isUrgent: Bool = false, now: UInt64) -> Bool {
        let allowance = subject.allowance
        var bucket = buckets[subject] ?? newBucket(allowance, now: now)
        let mayWrite =
            bucket.take(burst: allowance.burst, perSecond: allowance.perSecond, now: now)
            && takeOfAll(isUrgent, now: now)
        if !mayWrite {
            bucket.leftOut += 1
            nextSummary = nextSummary ?? now + Self.summaryMilliseconds
        }
        buckets[subject] = bucket
        return mayWrite
    }

    private mutating func takeOfAll(_ isUrgent: Bool, now: UInt64) -> Bool {
        isUrgent
            ? urgent.take(burst: Self.burst, perSecond: Self.perSecond, now: now)
            : usual.take(burst: Self.burst, perSecond: Self.perSecond, now: now)
    }

    private mutating func newBucket(_ allowance: LogSubject.Allowance, now: UInt64) -> Bucket {
        if buckets.count >= Self.subjectsMaximum {
            let oldest = buckets.sorted { $0.value.since < $1.value.since }.prefix(Self.subjectsMaximum / 2)
            for (subject, bucket) in oldest {
                leftOutOfOthers += bucket.leftOut
                buckets[subject] = nil
            }
        }
        return Bucket(level: allowance.burst * 1_000, since: now)
    }

    /// What was left out since it was told last, if it is time to tell it: where most was first.
    mutating func takeSummaries(now: UInt64) -> [Summary] {
        guard let due = nextSummary, due <= now else { return [] }
        nextSummary = nil
        var summaries: [Summary] = []
        for (subject, bucket) in buckets where bucket.leftOut > 0 {
            summaries.append(Summary(count: bucket.leftOut, subject: subject))
            buckets[subject]?.leftOut = 0
        }
        summaries.sort { ($0.count, $1.subject?.description ?? "") > ($1.count, $0.subject?.description ?? "") }
        let rest = summaries.dropFirst(Self.summariesMaximum).reduce(leftOutOfOthers) { $0 + $1.count }
        leftOutOfOthers = 0
        summaries.removeLast(max(0, summaries.count - Self.summariesMaximum))
        return rest > 0 ? summaries + [Summary(count: rest, subject: nil)] : summaries
    }
}

extension LineRates.Summary: CustomStringConvertible {
    var description: String {
        let rate = subject?.allowance.perSecond ?? LineRates.perSecond
        let what = subject.map { "\($0)" } ?? "of many routes"
        return "\(counted(count, "line")) left out: \(what) (more than \(rate) a second)"
    }
}
