import NIOCore
import Yamux

// What holds of a stream whenever code of the application may run: checked in debug builds at the end of what changes
// its state, and of all streams with their session.
extension StreamChannel {
    func checkInvariants() {
        #if DEBUG
        eventLoop.assertInEventLoop()
        checkInput()
        checkOutput()
        assert(phase != .queued || !mayHaveBeenSeen, "nobody has seen a stream that waits")
        assert(phase != .active || session == nil || mayHaveBeenSeen, "what the application has, it may have seen")
        assert(mayHaveBeenSeen || !state.isAnnounced, "no frame goes out for a stream that nobody has")
        assert(session != nil || phase == .closed || remoteEnd.stage > 0, "who has lost the session learns of an end")
        assert(session == nil || remoteEnd.stage < 2, "a stream that has failed is its session's no more")
        assert(lingerDeadline == nil || phase == .closed, "only a closed stream has so long to end")
        assert(!hasClosed || (phase == .closed && closeWaiters.isEmpty), "all who wait for the close learn of it")
        #endif
    }

    #if DEBUG
    private func checkInput() {
        assert(!isReadPending || (phase == .active && !isInputClosed), "only who can get bytes waits for them")
        assert(inbound.isEmpty || (phase != .closed && !isInputClosed), "nothing is kept that nobody will read")
        assert(
            session == nil || inbound.byteCount <= Int(state.bytesBuffered), "what is not read yet counts in the window"
        )
        inbound.checkInvariants()
    }

    private func checkOutput() {
        assert(output != .closed || outbound.isEmpty, "nothing stands behind FIN")
        assert(!isFinWritten || output == .closed, "FIN ends the output")
        assert(outputPromise == nil || (output != .open && !isFinWritten), "who waits for FIN learns of it")
        assert(phase != .queued || (output == .open && outbound.isEmpty), "nobody writes to a stream that waits")
        outbound.checkInvariants()
    }
    #endif
}
