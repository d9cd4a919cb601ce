import Memory
import Yamux

// Credit for services: back as their clients take the bytes, and more of it for streams whose window holds them back
// (`WindowGrowth`), within what a session and a reactor may have under way.
extension Worker {
    /// Tells the service that it may send more, when half of the window has been taken. While the process holds too
    /// many bytes only those get credit whose client has taken all there was: if nobody did, clients that have stopped
    /// reading would stop everybody else, for as long as they like.
    @_noLocks
    mutating func giveCredit(_ stream: Int32, _ count: UInt32, isFlowing: Bool) {
        let session = streams[stream].session
        var window = streams[stream].window
        let credit = window.taken(
            count, of: &streams[stream].state, isDry: isFlowing, roundTrip: sessions[session].roundTrip,
            room: windowRoom(session), mayAnnounce: isFlowing || !memory.isOverLimit, now: nowMicroseconds)
        streams[stream].window = window
        sessions[session].extraCredit += credit.growth
        memory.extraCredit += Int(credit.growth)
        if credit.reduction > 0 { returnExtraCredit(credit.reduction, session) }
        guard credit.bytes > 0 else { return }
        measureRoundTrip(session)
        let header = FrameHeader.windowUpdate(streams[stream].state.id, credit.bytes, flags: FrameFlags(rawValue: 0))
        writeHeader(header, session, isControl: true)
    }

    /// By how much a window of the session may grow.
    private func windowRoom(_ session: Int32) -> Int {
        guard !memory.isOverLimit else { return 0 }
        let ofSession = DataPlaneLimits.extraCreditOfSession - Int(sessions[session].extraCredit)
        return min(ofSession, limits.extraCreditPerReactor - memory.extraCredit)
    }

    /// The process holds few enough bytes again: streams get what was withheld.
    @_noLocks
    mutating func giveWithheldCredit() {
        for session in 0..<Int32(limits.sessions) {
            guard case .live = sessions[session].phase else { continue }
            var stream = sessions[session].streams.all.first
            while stream >= 0 {
                if streams[stream].connection >= 0 { giveCredit(stream, 0, isFlowing: true) }
                stream = streamLinks.next(of: stream)
            }
        }
    }

    /// More has come for the client than a pipe holds: the rest has to be copied, or all of it if it has none.
    @_noLocks
    mutating func notePileUp(stream: Int32) {
        let session = streams[stream].session
        streams[stream].window.pileUp(
            streams[stream].state, roundTrip: sessions[session].roundTrip, now: nowMicroseconds)
    }

    /// Others may have what a stream had beyond the window that every stream has.
    @_noLocks
    mutating func returnExtraCredit(_ extra: UInt32, _ session: Int32) {
        precondition(extra <= sessions[session].extraCredit, "rule 18: credit that comes back was given")
        sessions[session].extraCredit -= extra
        memory.extraCredit -= Int(extra)
    }

    /// Measures the round trip to the service, now and then.
    private mutating func measureRoundTrip(_ session: Int32) {
        guard sessions[session].roundTrip.isDue(now: nowMicroseconds) else { return }
        let value = sessions[session].state.barrierPing()
        sessions[session].roundTrip.sent(value, now: nowMicroseconds)
        writePing(value, session)
    }
}
