import CKernel
import Glibc
import Testing
import Yamux

/// A socket of the test's own; nothing it does blocks.
struct TestSocket {
    let fd: Int32

    init(fd: Int32) { self.fd = fd }

    /// - Parameter receiveBuffer: how much the kernel takes that the test does not; nil: as much as it likes.
    init(connectedTo port: UInt16, receiveBuffer: Int32? = nil) throws {
        fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var size = receiveBuffer {
            let count = socklen_t(MemoryLayout<Int32>.size)
            try #require(unsafe setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, count) == 0)
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        try #require(result == 0)
    }

    /// A listener on loopback, as the control thread makes them; port 0 is one of the kernel's choice.
    static func listening(on port: UInt16, isFirst: Bool) throws -> TestSocket {
        var loopback = [UInt8](repeating: 0, count: 16)
        loopback.replaceSubrange(10..., with: [0xff, 0xff, 127, 0, 0, 1])
        let fd = unsafe ck_listen(loopback, true, false, port, 1024, isFirst)
        try #require(fd >= 0)
        return TestSocket(fd: fd)
    }

    /// What has come: nil at the end or after a reset, empty when there is nothing now.
    func receive() -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(fd, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count > 0 { return Array(buffer[..<count]) }
        return count < 0 && errno == EAGAIN ? [] : nil
    }

    /// Sends what the socket takes now and returns how much that was.
    func send(_ bytes: ArraySlice<UInt8>) -> Int {
        let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
        let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.send(fd, $0.baseAddress, $0.count, flags) }
        return max(0, count)
    }

    func finish() { _ = shutdown(fd, Int32(SHUT_WR)) }
    func close() { _ = Glibc.close(fd) }
}

/// A service in the manner of hashicorp/yamux: acknowledges at once, gives credit for what it has read, and answers
/// each stream by a function of all that it has said so far.
struct FakeService {
    struct Stream {
        var state: StreamState
        var received: [UInt8] = []
        var hasEnded = false
        var isFinished = false
    }

    /// What to say next on a stream, and whether that is all. Bytes that are answered are taken off.
    typealias Answer = @Sendable (inout Stream) -> (bytes: [UInt8], ends: Bool)

    let socket: TestSocket
    let answer: Answer
    var reader = FrameReader()
    var streams: [UInt32: Stream] = [:]
    var outgoing: [UInt8] = []
    var current: UInt32 = 0
    var opened = 0
    var resets = 0
    var isLost = false

    init(fd: Int32, answer: @escaping Answer) {
        self.socket = TestSocket(fd: fd)
        self.answer = answer
    }

    mutating func pump() {
        guard let bytes = socket.receive() else {
            isLost = true
            return
        }
        var offset = 0
        read: while true {
            let event = unsafe bytes.withUnsafeBytes { unsafe reader.next(in: $0, offset: &offset) }
            switch event.kind {
            case .needsBytes, .breach: break read
            case .header: take(event.header)
            case .payload:
                let end = event.payloadOffset + event.payloadCount
                streams[current]?.received += bytes[event.payloadOffset..<end]
                consume(current, UInt32(event.payloadCount))
            }
        }
        for id in streams.keys.sorted() { reply(id) }
        let sent = socket.send(outgoing[...])
        outgoing.removeFirst(sent)
    }

    private mutating func take(_ header: FrameHeader) {
        if header.type == .ping, header.flags.contains(.syn) { write(.pong(header.length)) }
        guard header.streamID != 0 else { return }
        current = header.streamID
        if header.flags.contains(.syn) {
            var state = StreamState(acceptedID: header.streamID)
            let event = state.receive(header)
            precondition(event.breach == .none)
            streams[header.streamID] = Stream(state: state, hasEnded: event.contains(.finished))
            opened += 1
            write(.windowUpdate(header.streamID, 0, flags: .ack))
            _ = streams[header.streamID]?.state.flagsForNextFrame()
            return
        }
        guard let event = streams[header.streamID]?.state.receive(header) else { return }
        precondition(event.breach == .none, "the proxy broke the protocol: \(event.breach)")
        if event.contains(.finished) { streams[header.streamID]?.hasEnded = true }
        if event.contains(.reset) {
            resets += 1
            streams[header.streamID] = nil
        }
        forgetIfOver(header.streamID)
    }

    private mutating func consume(_ id: UInt32, _ count: UInt32) {
        guard let credit = streams[id]?.state.consumed(count), credit > 0 else { return }
        write(.windowUpdate(id, credit, flags: FrameFlags(rawValue: 0)))
    }

    private mutating func reply(_ id: UInt32) {
        guard var stream = streams[id], !stream.isFinished else { return }
        let (bytes, ends) = answer(&stream)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = stream.state.sendFrame(maximum: UInt32(rest.count), payloadLimit: 16_384)
            guard count > 0 else { break }
            write(FrameHeader(type: .data, flags: FrameFlags(rawValue: 0), streamID: id, length: count))
            outgoing += rest.prefix(Int(count))
            rest.removeFirst(Int(count))
        }
        // What has no window is said again next time: answers of tests that need it are functions of what is kept.
        stream.received.insert(contentsOf: rest, at: 0)
        if ends, rest.isEmpty {
            stream.isFinished = true
            stream.state.sendFin()
            write(.windowUpdate(id, 0, flags: .fin))
        }
        streams[id] = stream
        forgetIfOver(id)
    }

    private mutating func forgetIfOver(_ id: UInt32) {
        if let stream = streams[id], stream.state.isFinished { streams[id] = nil }
    }

    private mutating func write(_ header: FrameHeader) {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.byteCount)
        unsafe bytes.withUnsafeMutableBytes { unsafe header.write(to: $0.baseAddress!) }
        outgoing += bytes
    }

    /// Says back what it hears, and ends when the other side does.
    static let echo: Answer = { stream in
        let bytes = stream.received
        stream.received = []
        return (bytes, stream.hasEnded)
    }

    /// Answers every request without a body by its own target and the service's name.
    static func http(_ name: String) -> Answer {
        { stream in
            guard let end = stream.received.firstRange(of: Array("\r\n\r\n".utf8)) else {
                return ([], stream.hasEnded)
            }
            let head = String(decoding: stream.received[..<end.lowerBound], as: UTF8.self)
            stream.received.removeSubrange(..<end.upperBound)
            let target = head.split(separator: " ")[1]
            let body = "\(name) \(target)"
            return (Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8), stream.hasEnded)
        }
    }
}
