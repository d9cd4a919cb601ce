import Proxy
import Testing

@testable import Control

/// Whatever is counted has a name, and whatever fails is told of: a new figure cannot be forgotten.
struct CounterTextTests {
    private let texts = CounterText.all(Settings(), DataPlaneLimits())

    @Test func eachFigureOfAListenerHasOneName() {
        #expect(Set(texts.map(\.counter)) == Set(ListenerCounter.allCases))
        #expect(texts.count == ListenerCounter.allCases.count)
        #expect(Set(texts.map(\.label)).count == texts.count)
    }

    @Test func eachFailureIsToldOfAndNothingElse() {
        for text in texts { #expect(text.hasClause == text.counter.isFailure, "\(text.counter)") }
        // Everything else is one of these.
        let others: Set<ListenerCounter> = [
            .held, .released, .expired, .refused, .sentAgain, .takenBack, .failures, .answeredOptions, .clientGone,
            .clientLeftWaiting, .endedIdle, .endedSilent, .endedByDrain, .endedForOthers, .handshakeLeft, .parked,
        ]
        #expect(Set(ListenerCounter.allCases.filter { !$0.isFailure }) == others)
    }

    @Test func aClauseNamesTheStatusThatTheClientGot() {
        for text in texts where text.counter.isFailure && text.counter.status > 0 {
            #expect(text.clause(1).hasPrefix("1 request got \(text.counter.status), "))
            #expect(text.clause(2).hasPrefix("2 requests got \(text.counter.status), "))
        }
    }

    @Test func aClauseIsALineOfWordsThatTellsOneFromMany() {
        for text in texts where text.hasClause {
            #expect(text.clause(1) != "1" + text.clause(2).dropFirst(), "\(text.counter)")
            #expect(!text.clause(2).contains("Optional") && !text.clause(2).contains("\n"))
        }
    }

    @Test func eachFigureOfTheProcessHasAName() {
        let labels = FigureLabels.levels + FigureLabels.sums
        // An error's number is told as text.
        #expect(Set(labels.map(\.0)) == Set(Counter.allCases.filter { $0 != .acceptError }))
        #expect(labels.count == Set(labels.map(\.0)).count)
    }
}
