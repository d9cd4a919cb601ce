import Testing
import Yamux

private let window = StreamState.initialWindow

@Suite struct StreamSendTests {
    @Test func synIsOnTheFirstFrameAloneAndAckOnNone() {
        var stream = StreamState(id: 1)
        #expect(!stream.isAnnounced)
        #expect(stream.flagsForNextFrame() == .syn)
        #expect(stream.isAnnounced && stream.flagsForNextFrame() == [] && stream.flagsForNextFrame() == [])
    }

    @Test func anAcceptedStreamsFirstFrameCarriesAck() {
        var stream = StreamState(acceptedID: 1)
        #expect(stream.isAcknowledged && stream.receive(.credit(1, 0, .syn)).isEmpty)
        #expect(stream.flagsForNextFrame() == .ack && stream.flagsForNextFrame() == [])
    }

    @Test func aFrameTakesTheLeastOfWindowBytesAndLimit() {
        var stream = StreamState(id: 1)
        #expect(stream.sendFrame(maximum: 10, payloadLimit: 100) == 10)
        #expect(stream.sendFrame(maximum: 100, payloadLimit: 7) == 7)
        #expect(stream.sendFrame(maximum: 0, payloadLimit: 7) == 0)
        #expect(stream.sendFrame(maximum: .max, payloadLimit: .max) == window - 17)
        #expect(stream.sendWindow == 0 && stream.sendFrame(maximum: 1, payloadLimit: 1) == 0)
    }

    @Test func aWindowOpensOnceAfterItWasEmpty() {
        var stream = StreamState(id: 1)
        #expect(stream.receive(.credit(1, 5)) == .acknowledged)
        #expect(stream.sendFrame(maximum: .max, payloadLimit: .max) == window + 5)
        #expect(stream.receive(.credit(1, 0)).isEmpty)
        #expect(stream.receive(.credit(1, 3)) == .windowOpened)
        #expect(stream.receive(.credit(1, 3)).isEmpty)
        #expect(stream.sendWindow == 6)
    }

    @Test func creditMayReachButNotPassThirtyTwoBits() {
        var stream = StreamState(id: 1)
        #expect(stream.receive(.credit(1, .max - window)) == .acknowledged)
        #expect(stream.sendWindow == .max)
        #expect(stream.receive(.credit(1, 0)).isEmpty)
        #expect(stream.receive(.credit(1, 1)).breach == .windowOverflow)
    }

    @Test func nothingIsSentAfterReset() {
        var stream = StreamState(id: 1)
        _ = stream.flagsForNextFrame()
        stream.sendReset()
        #expect(stream.isReset && stream.isFinished && !stream.canSendFin && !stream.canSendReset)
        #expect(stream.sendFrame(maximum: 1, payloadLimit: 1) == 0)
    }

    @Test func resetMayFollowFinButNotTheEnd() {
        var stream = StreamState(id: 1)
        #expect(!stream.canSendReset, "nobody knows of the stream yet")
        _ = stream.flagsForNextFrame()
        stream.sendFin()
        #expect(stream.finSent && !stream.canSendFin && stream.canSendReset && !stream.isFinished)
        #expect(stream.receive(.credit(1, 0, .fin)) == [.acknowledged, .finished])
        #expect(stream.isFinished && !stream.canSendReset && !stream.isReset)
    }

    @Test func ourOwnFaultsTrap() async {
        await #expect(processExitsWith: .failure) {
            var stream = StreamState(id: 1)
            _ = stream.flagsForNextFrame()
            stream.sendFin()
            stream.sendFin()
        }
        await #expect(processExitsWith: .failure) {
            var stream = StreamState(id: 1)
            _ = stream.flagsForNextFrame()
            stream.sendFin()
            _ = stream.sendFrame(maximum: 1, payloadLimit: 1)
        }
        await #expect(processExitsWith: .failure) {
            var stream = StreamState(id: 1)
            _ = stream.consumed(1)
        }
        await #expect(processExitsWith: .failure) {
            var stream = StreamState(id: 1)
            _ = stream.receive(.credit(3, 0))
        }
    }
}

@Suite struct StreamReceiveTests {
    @Test func theWholeWindowMayBeUsedAndNotOneByteMore() {
        var stream = StreamState(id: 1)
        #expect(stream.receive(.data(1, window - 1)) == .acknowledged)
        #expect(stream.receive(.data(1, 1)).isEmpty && stream.receiveWindow == 0)
        #expect(stream.receive(.data(1, 0)).isEmpty)
        #expect(stream.receive(.data(1, 1)).breach == .windowExceeded)
        var other = StreamState(id: 1)
        #expect(other.receive(.data(1, window + 1)).breach == .windowExceeded)
        #expect(other.receive(.data(1, .max, .fin)).breach == .windowExceeded)
    }

    @Test func creditIsAnnouncedFromHalfAWindowOn() {
        var stream = StreamState(id: 1)
        _ = stream.receive(.data(1, window))
        #expect(stream.consumed(0) == 0)
        #expect(stream.consumed(window / 2 - 1) == 0 && stream.receiveWindow == 0)
        #expect(stream.consumed(1) == window / 2 && stream.receiveWindow == window / 2)
        #expect(stream.bytesBuffered == window / 2 && stream.consumed(window / 2) == window / 2)
        #expect(stream.receiveWindow == window && stream.bytesBuffered == 0)
    }

    @Test func creditWithheldIsAnnouncedLater() {
        var stream = StreamState(id: 1)
        _ = stream.receive(.data(1, window))
        #expect(stream.consumed(window, mayAnnounce: false) == 0 && stream.receiveWindow == 0)
        #expect(stream.bytesBuffered == 0 && stream.consumed(0) == window)
    }

    @Test func nothingIsAnnouncedToASideThatHasFinishedOrWasReset() {
        var finished = StreamState(id: 1)
        #expect(finished.receive(.data(1, window, .fin)) == [.acknowledged, .finished])
        #expect(finished.consumed(window) == 0 && finished.grow(by: 1) == 0)
        var reset = StreamState(id: 1)
        _ = reset.receive(.data(1, window))
        #expect(reset.receive(.credit(1, 0, .reset)) == .reset)
        #expect(reset.consumed(window) == 0 && reset.grow(by: 1) == 0)
    }

    @Test func aGrownWindowIsAnnouncedWithWhatWasConsumed() {
        var stream = StreamState(id: 1)
        _ = stream.receive(.data(1, 100))
        #expect(stream.consumed(60) == 0)
        #expect(stream.grow(by: 1000) == 1060 && stream.receiveWindow == window - 100 + 1060)
        #expect(stream.bytesBuffered == 40)
        #expect(stream.receive(.data(1, stream.receiveWindow)).isEmpty)
        #expect(stream.receive(.data(1, 1)).breach == .windowExceeded)
        // Half of the larger window is what counts now.
        #expect(stream.consumed((window + 1000) / 2 - 1) == 0 && stream.consumed(1) == (window + 1000) / 2)
    }

    @Test func aWindowGrowsToItsMaximumAndNoFurther() {
        var stream = StreamState(id: 1)
        #expect(stream.grow(by: .max) == StreamState.maximumWindow - window)
        #expect(stream.receiveWindow == StreamState.maximumWindow && stream.grow(by: 1) == 0)
    }

    /// What is not given back makes the window smaller, down to what every stream has.
    @Test func aWindowShrinksByWhatWasConsumedAndNotAnnounced() {
        var stream = StreamState(id: 1)
        #expect(stream.shrink(to: 0) == 0)
        #expect(stream.grow(by: 1000) == 1000 && stream.receiveWindowGrowth == 1000)
        #expect(stream.receive(.data(1, 1500)) == .acknowledged)
        #expect(stream.consumed(400, mayAnnounce: false) == 0)
        #expect(stream.shrink(to: 0) == 400 && stream.receiveWindowGrowth == 600 && stream.shrink(to: 0) == 0)
        #expect(stream.consumed(1100, mayAnnounce: false) == 0)
        #expect(stream.shrink(to: window + 200) == 400 && stream.receiveWindowGrowth == 200)
        #expect(stream.shrink(to: .max) == 0)
        #expect(stream.shrink(to: 0) == 200 && stream.receiveWindowGrowth == 0)
        // The rest is credit as ever.
        #expect(stream.receiveWindow == window - 500 && stream.bytesBuffered == 0)
        #expect(stream.receive(.data(1, window / 2)).isEmpty)
        #expect(stream.consumed(window / 2) == window / 2 + 500 && stream.receiveWindow == window)
    }

    @Test(arguments: [FrameHeader.credit(1, 0, .ack), .data(1, 5), .credit(1, 9), .data(1, 0, .ack)])
    func anyFrameWithoutResetAcknowledgesOnce(header: FrameHeader) {
        var stream = StreamState(id: 1)
        #expect(stream.receive(header) == .acknowledged && stream.isAcknowledged)
        #expect(stream.receive(header).isEmpty)
    }

    @Test func aResetIsARefusalOnlyBeforeAnyOtherFrame() {
        var refused = StreamState(id: 1)
        #expect(refused.receive(.credit(1, 0, .reset)) == [.reset, .refused] && refused.isFinished)
        #expect(refused.receive(.credit(1, 0, .reset)) == .late)
        var acknowledged = StreamState(id: 1)
        _ = acknowledged.receive(.credit(1, 0, .ack))
        #expect(acknowledged.receive(.credit(1, 0, .reset)) == .reset)
        var both = StreamState(id: 1)
        #expect(both.receive(.credit(1, 0, [.ack, .reset])) == [.reset, .refused])
    }

    /// Some implementations put an error code there.
    @Test func theLengthOfAResetIsNotCredit() {
        var stream = StreamState(id: 1)
        #expect(stream.receive(.credit(1, .max, .reset)) == [.reset, .refused])
        #expect(stream.sendWindow == window)
    }

    @Test func aPayloadBesideResetStillNeedsAWindow() {
        var stream = StreamState(id: 1)
        #expect(stream.receive(.data(1, window + 1, .reset)).breach == .windowExceeded)
    }

    @Test func synStandsOnTheFirstFrameOfAnAcceptedStreamAlone() {
        var ours = StreamState(id: 1)
        #expect(ours.receive(.credit(1, 0, .syn)).breach == .unexpectedFlags)
        var accepted = StreamState(acceptedID: 2)
        #expect(accepted.receive(.data(2, 5, .syn)).isEmpty && accepted.receiveWindow == window - 5)
        #expect(accepted.receive(.data(2, 5, .syn)).breach == .unexpectedFlags)
        var other = StreamState(acceptedID: 2)
        #expect(other.receive(.data(2, 5)).breach == .unexpectedFlags)
    }

    @Test func whatTheSpecificationDoesNotNameIsIgnored() {
        var stream = StreamState(id: 1)
        #expect(stream.receive(.data(1, 5, FrameFlags(rawValue: 0xfff0))) == .acknowledged)
        #expect(stream.receive(.data(1, 5, FrameFlags(rawValue: 0xfff0))).isEmpty && stream.bytesBuffered == 10)
    }

    /// A service that writes and closes on two threads sends such frames without being at fault.
    @Test func whatComesAfterFinIsLateAndStillCounted() {
        var stream = StreamState(id: 1)
        _ = stream.receive(.credit(1, 0, .fin))
        #expect(stream.receive(.data(1, window)) == .late && stream.receive(.credit(1, 0, .fin)) == .late)
        #expect(stream.receive(.data(1, 1)).breach == .windowExceeded)
    }

    @Test func creditGoesOnAfterTheOtherSidesFin() {
        var stream = StreamState(id: 1)
        _ = stream.sendFrame(maximum: .max, payloadLimit: .max)
        _ = stream.receive(.credit(1, 0, .fin))
        #expect(stream.receive(.credit(1, 5)) == .windowOpened && stream.sendWindow == 5)
    }

    /// Go services end streams so that they have closed and we have not.
    @Test func resetMayFollowTheOtherSidesFin() {
        var stream = StreamState(id: 1)
        _ = stream.receive(.credit(1, 0, .fin))
        #expect(stream.receive(.credit(1, 0, .reset)) == .reset && stream.isFinished)
    }

    @Test func aFrameAfterOurResetTellsThatTheStreamHadBeenAccepted() {
        var stream = StreamState(id: 1)
        _ = stream.flagsForNextFrame()
        stream.sendReset()
        #expect(stream.receive(.data(1, 5)) == [.late, .acknowledgedLate])
        #expect(stream.receive(.data(1, 5, .fin)) == .late && stream.receive(.credit(1, 5, .reset)) == .late)
    }

    @Test func ourResetIsNotFollowedByARefusal() {
        var stream = StreamState(id: 1)
        _ = stream.flagsForNextFrame()
        stream.sendReset()
        #expect(stream.receive(.credit(1, 0, .reset)) == .late && !stream.isAcknowledged)
    }

    @Test func anEventWithABreachHasNothingElse() {
        var stream = StreamState(id: 1)
        let event = stream.receive(.data(1, .max, .fin))
        #expect(event.rawValue == 0 && !event.isEmpty && event != [] && event.breach == .windowExceeded)
    }
}
