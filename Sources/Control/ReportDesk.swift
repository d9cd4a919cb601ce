internal import Proxy
internal import Reactor
internal import Synchronization

/// Where other threads ask the control thread for a ``Report``. It answers at the end of its round, which a question
/// begins.
public final class ReportDesk: Sendable {
    public typealias Answer = @Sendable (Report) -> Void

    /// More questions at once are refused: nobody needs so many.
    public static let questionsAtOnce = 256

    private let questions = Mutex<[Question]>([])
    private let bell: ControlBell

    struct Question: Sendable {
        /// Figures of routes that are gone may be forgotten when they have been told.
        let isScrape: Bool
        let answer: Answer
    }

    init(bell: ControlBell) { self.bell = bell }

    /// Asks for a report. What is answered runs on the control thread, and must not wait.
    /// - Parameter isScrape: a monitoring system asks, which keeps what it is told.
    /// - Returns: false if too many have asked, and nobody will be answered.
    public func ask(isScrape: Bool, _ answer: @escaping Answer) -> Bool {
        let isAccepted = questions.withLock { questions in
            guard questions.count < Self.questionsAtOnce else { return false }
            questions.append(Question(isScrape: isScrape, answer: answer))
            return true
        }
        if isAccepted { bell.ring() }
        return isAccepted
    }

    /// What has been asked since the last time.
    func takeQuestions() -> [Question] {
        questions.withLock { questions in
            defer { questions.removeAll() }
            return questions
        }
    }
}
