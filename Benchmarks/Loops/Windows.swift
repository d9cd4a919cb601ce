import Memory
import Yamux

extension Loop {
    static let windows: [Loop] = [request, receiveBulk, sendBulk, openAndAcknowledge]

    /// What a stream that carries one small request and its reply goes through.
    private static let request = Loop("Yamux: a stream's states for one request") {
        let lengths = smallLengths()
        var streams = Slab<StreamState>(capacity: 64)
        return { count in request(&streams, lengths, count: count) }
    }

    private static func request(_ streams: inout Slab<StreamState>, _ lengths: [UInt32], count: Int) -> Int {
        var sum = 0
        for index in 0..<count {
            let stream = streams.insert(StreamState(id: UInt32(truncatingIfNeeded: 2 &* index &+ 1)))
            sum &+= exchange(&streams[stream], length: lengths[index & 63])
            streams.remove(stream)
        }
        return sum
    }

    private static func exchange(_ stream: inout StreamState, length: UInt32) -> Int {
        var sum = stream.sendFrame(maximum: length, payloadLimit: 16_384)
        sum &+= UInt32(stream.flagsForNextFrame().rawValue)
        sum &+= UInt32(stream.flagsForNextFrame().rawValue)
        stream.sendFin()
        let accepted = stream.receive(.windowUpdate(stream.id, 0, flags: .ack))
        let none = FrameFlags(rawValue: 0)
        let data = stream.receive(FrameHeader(type: .data, flags: none, streamID: stream.id, length: length))
        sum &+= stream.consumed(length)
        let end = stream.receive(.windowUpdate(stream.id, 0, flags: .fin))
        return Int(sum) &+ Int(accepted.rawValue) &+ Int(data.rawValue) &+ Int(end.rawValue)
    }

    /// A frame of a large reply: counted, taken by the client, and credit given now and then.
    private static let receiveBulk = Loop("Yamux: a window through a frame of 16 KiB received") {
        let streams = openStreams()
        return { count in
            var credit: UInt64 = 1
            let none = FrameFlags(rawValue: 0)
            for index in 0..<count {
                let stream = Int32(truncatingIfNeeded: index & 63)
                let header = FrameHeader(type: .data, flags: none, streamID: streams[stream].id, length: 16_384)
                precondition(streams[stream].receive(header).breach == .none, "the window is never exceeded")
                credit &+= UInt64(streams[stream].consumed(16_384))
            }
            return Int(truncatingIfNeeded: credit)
        }
    }

    /// A frame of a large request: as much of it as the window has, and credit for it.
    private static let sendBulk = Loop("Yamux: a window through a frame of 16 KiB sent") {
        let streams = openStreams()
        return { count in
            var sent: UInt64 = 0
            for index in 0..<count {
                let stream = Int32(truncatingIfNeeded: index & 63)
                let room = streams[stream].sendFrame(maximum: 1 << 20, payloadLimit: 16_384)
                sent &+= UInt64(room)
                let credit = FrameHeader.windowUpdate(streams[stream].id, room, flags: FrameFlags(rawValue: 0))
                precondition(streams[stream].receive(credit).breach == .none, "the window is as it was")
            }
            return Int(truncatingIfNeeded: sent)
        }
    }

    private static let openAndAcknowledge = Loop("Yamux: a session opens a stream and hears of it") {
        { count in
            var session = SessionState(role: .opener, limits: SessionLimits())
            var sum = 0
            for _ in 0..<count {
                let id = session.openStream()
                session.acknowledged(id)
                sum &+= Int(id)
            }
            return sum
        }
    }

    /// 64 streams that have been accepted.
    private static func openStreams() -> Slab<StreamState> {
        var streams = Slab<StreamState>(capacity: 64)
        for index in 0..<64 {
            let stream = streams.insert(StreamState(id: UInt32(2 * index + 1)))
            _ = streams[stream].flagsForNextFrame()
            _ = streams[stream].receive(.windowUpdate(streams[stream].id, 0, flags: .ack))
        }
        return streams
    }

    /// Not constants, or the compiler does the arithmetic.
    private static func smallLengths() -> [UInt32] {
        var numbers = Numbers(seed: 1)
        return (0..<64).map { _ in UInt32(100 + numbers.next(below: 400)) }
    }
}
