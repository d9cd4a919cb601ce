import Exchanges
import Testing

@Suite struct RepeatTests {
    private enum Heard: CaseIterable { case nothing, interim, reply }

    /// All that the decision depends on, against the rules one by one.
    @Test func `an exchange is sent again if nothing at all stands in the way`() {
        for head in [get, counted, chunked] {
            for heard in Heard.allCases {
                for bits in 0..<32 {
                    let (isKept, isUndelivered, isLate) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0)
                    let (isSpent, isRelay) = (bits & 8 != 0, bits & 16 != 0)
                    var state = started(head)
                    if heard == .interim { #expect(state.take("HTTP/1.1 103 x\r\n\r\n") == .interim) }
                    if heard == .reply { #expect(state.take("HTTP/1.1 200 x\r\n\r\n") == .reply) }
                    if isSpent { spend(&state) }
                    if !isKept { state.forgetKept() }
                    let obstacle = state.obstacle(
                        as: isRelay ? .relay : .http, isUndelivered: isUndelivered, isLate: isLate)
                    let mayRunTwice = head != counted && !isRelay
                    switch obstacle {
                    case .replyBegun: #expect(heard == .reply)
                    case .mayHaveRun: #expect(heard == .interim || !isUndelivered && !mayRunTwice)
                    case .notKept: #expect(!isKept)
                    case .spent: #expect(isSpent || isLate)
                    case .none:
                        #expect(heard == .nothing && isKept && !isSpent && !isLate)
                        #expect(isUndelivered || mayRunTwice)
                    }
                }
            }
        }
    }

    /// Passed on as often as may be.
    private func spend(_ state: inout ExchangeState) {
        while !state.past.attempts.areSpent {
            state.forgetKept()
            state.beginAttempt()
        }
    }

    @Test func `what comes again stands where it began, and its time goes on`() {
        var state = started(counted)
        state.past.handOvers = 2
        state.past.loser = 7
        state.count(.withUnproven)
        state.startAnew(now: 50)
        #expect(state.request == .head && state.isUnanswered && !state.isKept)
        #expect(state.past.phaseSince == 50 && state.lastProgress == 50 && state.past.handOvers == 0)
        #expect(state.past.loser == 7 && !state.past.attempts.areNone)
        state.endAttempts()
        #expect(state.past.loser == 0 && state.past.attempts.areNone)
    }

    @Test func `a loss counts for what it says of the exchange`() {
        let forgiven: [Loss] = [.undelivered, .notAccepted, .withUnproven, .withYoung(isAlone: false), .besideSuspect]
        for loss in forgiven {
            var state = started(get)
            state.count(loss)
            #expect(state.past.attempts.counted == 0)
        }
        for loss in [Loss.withSession, .byService, .withYoung(isAlone: true)] {
            var state = started(get)
            state.count(loss)
            #expect(state.past.attempts.counted == 1)
        }
    }

    @Test func `acceptance settles what may not be executed twice`() {
        #expect(started(counted).isSettledByAcceptance(as: .http))
        #expect(!started(get).isSettledByAcceptance(as: .http))
        #expect(!started(chunked).isSettledByAcceptance(as: .http))
        #expect(started(get).isSettledByAcceptance(as: .relay))
    }
}
