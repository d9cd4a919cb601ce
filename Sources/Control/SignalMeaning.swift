internal import CKernel
internal import Glibc

/// What a signal that is taken asks for. Which signals are taken says `signals.c`.
enum SignalMeaning: Equatable {
    /// Requests under way end, then the program does, with this exit code. Once more: at once.
    case end(exitCode: Int32)
    /// The same once. The kernel, or whoever watches the power, says it again and again, and is in no hurry.
    case endInGoodOrder(exitCode: Int32)
    case figures
    /// Nothing but a line in the log.
    case nothing(String)

    init(_ signal: Int32) {
        switch signal {
        case SIGTERM, SIGINT, SIGQUIT: self = .end(exitCode: ExitCode.success.rawValue)
        case SIGPWR: self = .endInGoodOrder(exitCode: ExitCode.success.rawValue)
        // Nobody has asked for this end, so whoever starts programs again shall do so.
        case SIGXCPU: self = .endInGoodOrder(exitCode: ExitCode.forced(by: signal))
        case SIGUSR1: self = .figures
        case SIGHUP:
            self = .nothing("changes nothing yet: a later version will reopen the log and reload by it")
        case SIGUSR2:
            self = .nothing("changes nothing yet: a later version will take over from this one by it")
        default: self = .nothing("means nothing here and changes nothing")
        }
    }

    /// As an operator writes it.
    static func name(of signal: Int32) -> String {
        let names = [
            SIGTERM: "SIGTERM", SIGINT: "SIGINT", SIGQUIT: "SIGQUIT", SIGPWR: "SIGPWR", SIGHUP: "SIGHUP",
            SIGXCPU: "SIGXCPU (the limit on processor time, ulimit -t)", SIGUSR1: "SIGUSR1", SIGUSR2: "SIGUSR2",
            SIGALRM: "SIGALRM", SIGIO: "SIGIO", SIGSTKFLT: "SIGSTKFLT",
        ]
        return names[signal] ?? "signal \(signal)"
    }
}

/// When signals may speak. Whoever sends one again and again fills neither the log nor the control thread's time.
struct SignalPace {
    /// A line of each kind.
    static let lineMilliseconds: UInt64 = 1_000
    /// All figures, which may be many lines.
    static let figuresMilliseconds: UInt64 = 50
    /// Signals of one round: the others are taken in the next.
    static let signalsAtOnce = 64

    private var lines: [Int32: (nextAt: UInt64, leftOut: Int)] = [:]
    private var figuresNextAt: UInt64 = 0
    /// When figures that have been asked for are told.
    private(set) var figuresDueAt: UInt64?

    /// Whether a signal gets a line now.
    /// - Returns: nil if not, else how many have got none since the last line.
    mutating func admitLine(of signal: Int32, now: UInt64) -> Int? {
        let (nextAt, leftOut) = lines[signal] ?? (0, 0)
        guard nextAt <= now else {
            lines[signal] = (nextAt, leftOut + 1)
            return nil
        }
        lines[signal] = (now + Self.lineMilliseconds, 0)
        return leftOut
    }

    /// Whoever asks gets figures, perhaps together with the next one who asks.
    mutating func askForFigures(now: UInt64) {
        figuresDueAt = figuresDueAt ?? max(now, figuresNextAt)
    }

    /// Whether figures are to be told now.
    mutating func takeFigures(now: UInt64) -> Bool {
        guard let due = figuresDueAt, due <= now else { return false }
        figuresDueAt = nil
        figuresNextAt = now + Self.figuresMilliseconds
        return true
    }
}
