import CKernel
import Glibc
import Registration
import Synchronization
import Testing

@testable import Control

/// A whole proxy on a thread of the test's process, and blocking sockets that give up after a while.
final class LiveProxy: Sendable {
    let controlPort: UInt16
    private let thread: pthread_t
    private let state: State

    /// What the thread shares with the test.
    private final class State: Sendable {
        let settings: Settings
        let controlPort = Atomic<Int>(0)
        let exitCode = Atomic<Int>(-1)

        init(_ settings: Settings) {
            self.settings = settings
        }
    }

    /// - Parameter change: what differs from a small proxy with two reactors.
    init(_ change: (inout Settings) -> Void = { _ in }) throws {
        var settings = Settings()
        settings.controlAddresses = [.tcp(.loopback, port: 0)]
        settings.reactors = 2
        settings.maximumConnections = 64
        settings.maximumSessions = 64
        settings.maximumPending = 64
        settings.startGrace = TimeSpan(milliseconds: 0)
        settings.logLevel = .critical
        change(&settings)
        try settings.check()
        let state = State(settings)
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(state).toOpaque()
        let result = unsafe pthread_create(&thread, nil, Self.main, argument)
        precondition(result == 0)
        while state.controlPort.load(ordering: .acquiring) == 0 { usleep(1_000) }
        guard state.controlPort.load(ordering: .acquiring) > 0 else {
            pthread_join(thread, nil)
            throw StartFailure(.system, "the proxy did not start")
        }
        controlPort = UInt16(state.controlPort.load(ordering: .acquiring))
        self.thread = thread
        self.state = state
    }

    private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
        guard let argument = unsafe argument else { return nil }
        let state = unsafe Unmanaged<State>.fromOpaque(argument).takeRetainedValue()
        do throws(StartFailure) {
            let control = try ControlThread.start(state.settings)
            if case .tcp(_, let port) = control.controlSockets[0].address {
                state.controlPort.store(Int(port), ordering: .releasing)
            }
            state.exitCode.store(Int(control.serve()), ordering: .releasing)
        } catch {
            Issue.record("\(error)")
            state.controlPort.store(-1, ordering: .releasing)
        }
        return nil
    }

    /// Sends the signal that a process would get, and returns what `serve` returned.
    func stop() -> Int {
        pthread_kill(thread, SIGTERM)
        pthread_join(thread, nil)
        return state.exitCode.load(ordering: .acquiring)
    }

    func dial() -> LiveSocket { LiveSocket(port: controlPort) }

    /// Sends a registration and reads the response.
    func register(_ definition: SocketDefinition) -> (LiveSocket, RegistrationResponse?) {
        let socket = dial()
        socket.send(definition.encoded())
        return (socket, socket.readResponse(expectsAttributes: definition.attributes != nil))
    }
}

/// A blocking socket. Reads end after ten seconds, as if the peer had gone.
///
/// The kernel interrupts whatever a thread waits in a moment after that thread has closed an io_uring, and other tests
/// close theirs on the same threads.
final class LiveSocket: Sendable {
    private let fd: Int32

    init(port: UInt16) {
        fd = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        _ = unsafe setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = unsafe withUnsafeBytes(of: &address) { bytes in
            unsafe connect(fd, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, size)
        }
        if result != 0 { Issue.record("no connection to port \(port): \(errno)") }
    }

    deinit { _ = Glibc.close(fd) }

    func finish() { _ = shutdown(fd, Int32(SHUT_WR)) }

    func send(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let sent = unsafe bytes.withUnsafeBytes { bytes in
                unsafe Glibc.send(fd, bytes.baseAddress! + offset, bytes.count - offset, Int32(MSG_NOSIGNAL))
            }
            if sent < 0, errno == EINTR { continue }
            guard sent > 0 else { return }
            offset += sent
        }
    }

    /// Exactly that many bytes, or fewer if the peer ended before.
    func read(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let received = unsafe bytes.withUnsafeMutableBytes { bytes in
                unsafe recv(fd, bytes.baseAddress! + filled, count - filled, 0)
            }
            if received < 0, errno == EINTR { continue }
            guard received > 0 else { break }
            filled += received
        }
        return Array(bytes[..<filled])
    }

    func readResponse(expectsAttributes: Bool) -> RegistrationResponse? {
        var decoder = RegistrationResponseDecoder(expectsAttributes: expectsAttributes)
        while case .needsMore = decoder.state {
            let byte = read(1)
            guard !byte.isEmpty else { return nil }
            _ = decoder.receive(byte.span)
        }
        guard case .complete(let response) = decoder.state else { return nil }
        return response
    }

    // MARK: the other end of a session, by hand

    func readFrame() -> (type: UInt8, flags: UInt16, stream: UInt32, payload: [UInt8])? {
        let header = read(12)
        guard header.count == 12 else { return nil }
        let number = { (range: Range<Int>) in header[range].reduce(0 as UInt32) { $0 << 8 | UInt32($1) } }
        let payload = header[1] == 0 ? read(Int(number(8..<12))) : []
        return (header[1], UInt16(number(2..<4)), number(4..<8), payload)
    }

    func sendFrame(type: UInt8, flags: UInt16, stream: UInt32, length: UInt32, payload: [UInt8] = []) {
        let words = [UInt32(type) << 16 | UInt32(flags), stream, length]
        send(
            words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (24 - 8 * UInt32($0))) } } + payload
        )
    }

    /// Serves one raw stream: expects these bytes on it, answers with those and ends it.
    func serve(_ expected: String, with answer: String) {
        var stream: UInt32 = 0
        var received: [UInt8] = []
        while received.count < expected.utf8.count {
            guard let frame = readFrame() else {
                Issue.record("the session ended")
                return
            }
            if frame.type == 2 { sendFrame(type: 2, flags: 2, stream: 0, length: 0) }
            guard frame.type < 2, frame.stream != 0 else { continue }
            stream = frame.stream
            received += frame.payload
        }
        #expect(String(decoding: received, as: UTF8.self) == expected)
        sendFrame(type: 0, flags: 2 | 4, stream: stream, length: UInt32(answer.utf8.count), payload: Array(answer.utf8))
    }
}
