internal import Glibc

/// The service manager that has started the process and waits to hear of it: systemd, or whatever else speaks its
/// protocol (sd_notify(3)). Telling it something is one datagram, and never waits.
struct ServiceManager {
    /// Where it listens: a path, or @ and a name.
    private let socket: String
    /// How often it wants to hear that everything goes on, or it ends the process. Nil: it does not.
    let watchdogMilliseconds: UInt64?

    /// Nil: nobody wants to hear anything.
    init?(_ environment: (String) -> String?) {
        guard let socket = environment("NOTIFY_SOCKET"), !socket.isEmpty else { return nil }
        self.socket = socket
        let isForUs = environment("WATCHDOG_PID").map { Int32($0) == getpid() } ?? true
        let microseconds = isForUs ? environment("WATCHDOG_USEC").flatMap { UInt64($0) } : nil
        watchdogMilliseconds = microseconds.flatMap { $0 > 0 ? max(1, $0 / 1_000) : nil }
    }

    /// Tells it some assignments.
    /// - Throws: what the kernel says; the manager has heard nothing then.
    func tell(_ news: [String]) throws(KernelFailure) {
        _ = try checked(KernelText.send(news.joined(separator: "\n"), to: socket))
    }
}

extension ServiceManager: CustomStringConvertible {
    var description: String { logText(socket) }
}

/// What the service manager is told, and when. Pure: the time and the reactors' figures come in, assignments come out.
struct ManagerNews {
    /// After so long it is tried again to tell it something.
    static let retryMilliseconds: UInt64 = 100
    /// How often it is looked whether every reactor has taken its first turn.
    static let startMilliseconds: UInt64 = 10
    /// No two lines on how things are follow each other faster.
    static let statusMilliseconds: UInt64 = 1_000
    /// What the end takes, beyond the time to drain.
    static let endMilliseconds: UInt64 = 10_000

    /// What there is to do.
    struct Due: Equatable {
        var assignments: [String] = []
        /// Reactors are to take a turn, whether they have anything to do or not.
        var ringsReactors = false
        /// Reactors that have not, since they were last rung.
        var silent: [Int] = []
    }

    private var isReady = false
    private var status = ""
    /// Things may have changed since.
    private var isStale = true
    private var statusAt: UInt64 = 0
    /// Every so often the reactors are rung, and if all have turned since the last time, the manager hears so.
    private let beatMilliseconds: UInt64?
    private var beatAt: UInt64 = 0
    private var turns: [Int: UInt64] = [:]
    /// When there may be something to tell next, if nothing happens.
    private(set) var dueAt: UInt64 = 0

    init(watchdogMilliseconds: UInt64?) {
        // One that comes late is not the last.
        beatMilliseconds = watchdogMilliseconds.map { max(1, $0 / 3) }
    }

    /// What to do now. Most of the time that is nothing, and then nothing is looked at.
    /// - Parameters:
    ///   - isNew: things may have changed since the last time.
    ///   - status: how they are, in a line.
    ///   - turns: of each reactor that is still at work.
    mutating func take(
        now: UInt64, isNew: Bool, status: @autoclosure () -> String, turns: @autoclosure () -> [Int: UInt64]
    ) -> Due {
        var due = Due()
        isStale = isStale || isNew
        if !isReady {
            guard turns().values.allSatisfy({ $0 > 0 }) else {
                dueAt = now + Self.startMilliseconds
                due.ringsReactors = true
                return due
            }
            isReady = true
            due.assignments.append("READY=1")
        }
        if let beatMilliseconds, now >= beatAt {
            let turns = turns()
            due.silent = turns.filter { self.turns[$0.key] == $0.value }.keys.sorted()
            if due.silent.isEmpty { due.assignments.append("WATCHDOG=1") }
            due.ringsReactors = true
            (self.turns, beatAt) = (turns, now + beatMilliseconds)
        }
        if isStale, now >= statusAt {
            isStale = false
            let current = status()
            if current != self.status {
                due.assignments.append("STATUS=\(current)")
                (self.status, statusAt) = (current, now + Self.statusMilliseconds)
            }
        }
        dueAt = min(beatMilliseconds == nil ? .max : beatAt, isStale ? statusAt : .max)
        return due
    }
}
