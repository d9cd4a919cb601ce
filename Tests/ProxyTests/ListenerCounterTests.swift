import HTTP1
import TLS
import Testing

@testable import Proxy

struct ListenerCounterTests {
    /// What a client gets and what is counted are one thing.
    @Test func aRefusedHeadIsCountedUnderItsStatus() {
        for refusal in Refusal.allCases where refusal != .none && refusal != .badStatusLine {
            let counter = ListenerCounter(refusing: refusal)
            #expect(counter.status == refusal.status, "\(refusal)")
            #expect(counter.isFailure)
        }
    }

    @Test func aRefusedReplyIsCountedUnderItsCause() {
        for refusal in Refusal.allCases {
            let counter = ListenerCounter(refusingReply: refusal.replyCause)
            #expect(counter.status == 502)
            #expect(counter.replyCause == refusal.replyCause)
        }
    }

    /// The causes of handshakes that failed add up, because each has a figure of its own.
    @Test func eachCauseOfAFailedHandshakeHasAFigureOfTheProcess() {
        let causes = ListenerCounter.allCases.filter { "\($0)".hasPrefix("handshake") }
        #expect(Set(causes.map { "\($0.handshakes)" }).count == causes.count)
        for counter in ListenerCounter.allCases { #expect(counter.ofHandshake.ofHandshake == counter.ofHandshake) }
        #expect(ListenerCounter.endedByDrain.ofHandshake == .handshakeDrained)
        #expect(ListenerCounter.clientGone.ofHandshake == .handshakeLeft)
    }

    @Test func whatEndsARawConnectionIsNoStatus() {
        for counter in ListenerCounter.allCases where counter.status == 0 {
            #expect(counter.ofRaw == counter)
        }
        for counter in [ListenerCounter.refusedUnrouted, .refusedHoldOver, .refusedHoldLimit, .refusedHoldBytes] {
            #expect(counter.ofRaw.status == 0 && counter.ofRaw.isFailure)
        }
    }
}
