import Memory
import Reactor
import Yamux

// Credit for services: back as their clients take the bytes, and more of it for streams that use theirs up within two
// round trips, because a window that is smaller than what fits on the way holds its flow back. Where it is the client
// that holds the flow back a large window would only pile bytes up here, so it shrinks again.
extension Worker {
    /// Tells the service that it may send more, when half of the window has been taken. While the process holds too
    /// many bytes only those get credit whose client has taken all there was: if nobody did, clients that have stopped
    /// reading would stop everybody else, for as long as they like.
    @_noLocks
    mutating func giveCredit(_ stream: Int32, _ count: UInt32, isFlowing: Bool) {
        let session = streams[stream].session
        _ = streams[stream].state.consumed(count, mayAnnounce: false)
        if streams[stream].hasPiledUp { shrinkWindow(stream) }
        var credit = streams[stream].state.consumed(0, mayAnnounce: isFlowing || !isOverBufferLimit)
        guard credit > 0 else { return }
        measureRoundTrip(session)
        if isFlowing { credit += growWindow(stream, session) }
        streams[stream].creditAt = nowMicroseconds
        let header = FrameHeader.windowUpdate(streams[stream].state.id, credit, flags: FrameFlags(rawValue: 0))
        writeHeader(header, session, isControl: true)
    }

    /// The process holds few enough bytes again: streams get what was withheld.
    @_noLocks
    mutating func giveWithheldCredit() {
        for session in 0..<Int32(limits.sessions) {
            guard case .live = unsafe sessions[Int(session)].phase else { continue }
            var stream = unsafe sessions[Int(session)].streams.first
            while stream >= 0 {
                if streams[stream].connection >= 0 { giveCredit(stream, 0, isFlowing: true) }
                stream = streamLinks.next(of: stream)
            }
        }
    }

    /// Doubles the window of a stream that has used half of it up in less than two round trips, if there is room for
    /// it. Returns the credit beyond what was taken.
    @_noLocks
    private mutating func growWindow(_ stream: Int32, _ session: Int32) -> UInt32 {
        let slot = unsafe sessions + Int(session)
        guard unsafe slot.pointee.roundTrip > 0 else { return 0 }
        let roundTrip = unsafe max(UInt64(slot.pointee.roundTrip), DataPlaneLimits.shortestRoundTripMicroseconds)
        let since = streams[stream].creditAt
        let size = StreamState.initialWindow + streams[stream].state.receiveWindowGrowth
        if streams[stream].windowCeilingAt + DataPlaneLimits.windowCeilingMilliseconds <= now {
            streams[stream].windowCeiling = StreamState.maximumWindow
        }
        guard size < streams[stream].windowCeiling else { return 0 }
        guard since > 0, nowMicroseconds - since < 2 * roundTrip, !isOverBufferLimit else { return 0 }
        let room = unsafe min(
            DataPlaneLimits.extraCreditOfSession - Int(slot.pointee.extraCredit),
            limits.extraCreditPerReactor - extraCredit)
        let wanted = min(Int(size), room)
        guard wanted >= Int(StreamState.initialWindow) / 4 else { return 0 }
        let credit = streams[stream].state.grow(by: UInt32(truncatingIfNeeded: wanted))
        unsafe slot.pointee.extraCredit += credit
        extraCredit += Int(credit)
        return credit
    }

    /// More has come for the client than a pipe holds: the rest has to be copied, or all of it if it has none.
    @_noLocks
    mutating func notePileUp(_ connection: Int32) {
        let stream = connections[connection].stream
        guard stream >= 0, !streams[stream].hasPiledUp, streams[stream].state.receiveWindowGrowth > 0 else { return }
        streams[stream].hasPiledUp = true
        streams[stream].windowCeiling = (StreamState.initialWindow + streams[stream].state.receiveWindowGrowth) / 2
        streams[stream].windowCeilingAt = now
    }

    /// What the client has taken is not given back to the service, until its window is what every stream has; from then
    /// on it is, for the service may have used up all that it had.
    @_noLocks
    private mutating func shrinkWindow(_ stream: Int32) {
        returnExtraCredit(streams[stream].state.shrink(), streams[stream].session)
        if streams[stream].state.receiveWindowGrowth == 0 { streams[stream].hasPiledUp = false }
    }

    /// Others may have what a stream had beyond the window that every stream has.
    @_noLocks
    mutating func returnExtraCredit(_ extra: UInt32, _ session: Int32) {
        unsafe (sessions + Int(session)).pointee.extraCredit -= extra
        extraCredit -= Int(extra)
    }

    // MARK: how far the service is away

    /// Measures the round trip to the service by a ping, now and then: TCP knows only its next hop, and only of late.
    @_noLocks
    private mutating func measureRoundTrip(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        guard unsafe slot.pointee.roundTripPing == 0 else { return }
        let interval = DataPlaneLimits.roundTripMilliseconds * 1_000
        guard unsafe slot.pointee.roundTrip == 0 || nowMicroseconds - slot.pointee.roundTripPingAt >= interval else {
            return
        }
        let value = unsafe slot.pointee.state.barrierPing()
        unsafe slot.pointee.roundTripPing = value
        unsafe slot.pointee.roundTripPingAt = nowMicroseconds
        writePing(value, session)
    }

    /// A ping has been answered. The shortest round trip of late counts: a longer one has waited behind other bytes.
    @_noLocks
    func noteRoundTrip(_ session: Int32) {
        let slot = unsafe sessions + Int(session)
        let ping = unsafe slot.pointee.roundTripPing
        guard ping != 0, unsafe slot.pointee.state.isAnswered(ping) else { return }
        unsafe slot.pointee.roundTripPing = 0
        let taken = unsafe UInt32(clamping: max(1, nowMicroseconds - slot.pointee.roundTripPingAt))
        let memory = DataPlaneLimits.roundTripMemoryMilliseconds * 1_000
        let isOld = unsafe slot.pointee.roundTrip == 0 || nowMicroseconds - slot.pointee.roundTripAt >= memory
        guard unsafe isOld || taken <= slot.pointee.roundTrip else { return }
        unsafe slot.pointee.roundTrip = taken
        unsafe slot.pointee.roundTripAt = nowMicroseconds
    }
}
