import CKernel
import Glibc
import Memory
import Reactor
import Testing

/// Kinds of operations, as these tests number them.
enum Kind {
    static let accept: UInt8 = 1
    static let receive: UInt8 = 2
    static let send: UInt8 = 3
    static let cancel: UInt8 = 4
    static let poll: UInt8 = 5
    static let close: UInt8 = 6
    static let bell: UInt8 = 7
}

extension Token {
    init(_ kind: UInt8, _ index: Int32 = 0) { self.init(kind: kind, generation: 1, index: index) }
}

/// A ring of this thread with buffers, and everything that it has reported.
struct TestRing: ~Copyable {
    let ring: Ring
    var buffers: ReceiveBuffers
    let bufferCount: Int

    init(entries: UInt32 = 32, completionEntries: UInt32 = 256, buffers count: Int = 8, bufferBytes: Int = 1024) throws
    {
        let ring = try Ring(RingConfiguration(entries: entries, completionEntries: completionEntries))
        try ring.enable()
        buffers = try ReceiveBuffers(ring, group: 3, count: count, bufferBytes: bufferBytes)
        self.ring = ring
        bufferCount = count
    }

    /// Submits, waits for at least `count` completions and takes them all. Fewer come back only after a minute.
    func completions(atLeast count: Int = 1) -> [Completion] {
        var taken: [Completion] = []
        let deadline = Sockets.nowMilliseconds() + 60_000
        repeat {
            ring.submitAndWait(milliseconds: 100)
            taken += available()
        } while taken.count < count && Sockets.nowMilliseconds() < deadline
        return taken
    }

    /// Submits, and takes what comes within a moment: for what must not come.
    func completionsSoon(milliseconds: Int64 = 30) -> [Completion] {
        ring.submitAndWait(milliseconds: milliseconds)
        return available()
    }

    private func available() -> [Completion] {
        let count = ring.completionCount()
        let taken = (0..<count).map { ring.completion(at: $0) }
        ring.advance(count)
        return taken
    }

    /// The bytes that a completion of a receive brought; its buffer is given back.
    mutating func take(_ completion: Completion) -> [UInt8] {
        guard completion.buffer >= 0 else { return [] }
        let bytes = unsafe Array(buffers.bytes(completion.buffer, count: max(0, completion.result)))
        buffers.giveBack(completion.buffer)
        buffers.publish()
        return bytes
    }
}

/// A descriptor that is closed when it is no longer needed.
struct Descriptor: ~Copyable {
    let fd: Int32

    deinit { close(fd) }

    /// Leaves it to somebody else.
    consuming func release() -> Int32 {
        let fd = fd
        discard self
        return fd
    }

    /// Everything that is there, or nothing; nil at the end of the stream.
    borrowing func read(atMost count: Int = 1 << 16) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let result = unsafe ck_receive_now(fd, &bytes, count)
        return result == 0 ? nil : Array(bytes.prefix(max(0, result)))
    }

    borrowing func write(_ bytes: [UInt8]) { unsafe ck_write_all(fd, bytes, bytes.count) }

    borrowing func setOption(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        precondition(unsafe setsockopt(fd, level, name, &value, size) == 0)
    }

    borrowing func option(_ level: Int32, _ name: Int32) -> Int32 {
        var value: Int32 = -1
        var size = socklen_t(MemoryLayout<Int32>.size)
        precondition(unsafe getsockopt(fd, level, name, &value, &size) == 0)
        return value
    }
}

/// Closes the descriptor now.
func end(_ descriptor: consuming Descriptor) {}

/// Two connected unix sockets: ours, which does not block, and the peer's.
struct SocketPair: ~Copyable {
    let ours: Descriptor
    let peer: Descriptor

    init() {
        var fds: [Int32] = [-1, -1]
        precondition(unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &fds) == 0)
        _ = fcntl(fds[0], F_SETFL, O_NONBLOCK)
        ours = Descriptor(fd: fds[0])
        peer = Descriptor(fd: fds[1])
    }

    /// A TCP connection over loopback instead.
    init(tcpWithSendBuffer bytes: Int32?) throws {
        let listener = try TestListener()
        let client = try listener.connect()
        let accepted = Sockets.acceptNow(listener.socket.fd)
        try #require(accepted >= 0)
        ours = Descriptor(fd: accepted)
        peer = client
        if let bytes {
            ours.setOption(SOL_SOCKET, SO_SNDBUF, bytes)
            peer.setOption(SOL_SOCKET, SO_RCVBUF, bytes)
        }
    }
}

/// A listening TCP socket on a free port of loopback.
struct TestListener: ~Copyable {
    static let loopback: [UInt8] = [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 127, 0, 0, 1]
    static let loopbackV6: [UInt8] = [UInt8](repeating: 0, count: 15) + [1]

    let socket: Descriptor
    let port: UInt16
    private let isV4: Bool

    init(isV4: Bool = true) throws {
        let address = isV4 ? Self.loopback : Self.loopbackV6
        let fd = unsafe ck_listen(address, isV4, false, 0, 64, true)
        try #require(fd >= 0)
        socket = Descriptor(fd: fd)
        port = UInt16(ck_bound_port(fd))
        self.isV4 = isV4
    }

    borrowing func connect() throws -> Descriptor {
        let fd = Glibc.socket(isV4 ? AF_INET : AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        try #require(fd >= 0)
        let client = Descriptor(fd: fd)
        let result = isV4 ? connectV4(fd) : connectV6(fd)
        try #require(result == 0)
        return client
    }

    private borrowing func connectV4(_ fd: Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return unsafe withUnsafeBytes(of: &address) { unsafe Self.connect(fd, $0) }
    }

    private borrowing func connectV6(_ fd: Int32) -> Int32 {
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_port = port.bigEndian
        unsafe withUnsafeMutableBytes(of: &address.sin6_addr) { unsafe $0[15] = 1 }
        return unsafe withUnsafeBytes(of: &address) { unsafe Self.connect(fd, $0) }
    }

    private static func connect(_ fd: Int32, _ address: UnsafeRawBufferPointer) -> Int32 {
        let pointer = unsafe address.baseAddress!.assumingMemoryBound(to: sockaddr.self)
        return unsafe Glibc.connect(fd, pointer, socklen_t(address.count))
    }
}

/// Bytes that repeat late, so that pieces in the wrong order are noticed.
func pattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}

private final class Work: Sendable {
    let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }
}

/// A thread of its own, to be joined.
func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    var thread = pthread_t()
    let work = unsafe Unmanaged.passRetained(Work(body)).toOpaque()
    let status = unsafe pthread_create(
        &thread,
        nil,
        { work in
            unsafe Unmanaged<Work>.fromOpaque(work!).takeRetainedValue().body()
            return nil
        },
        work
    )
    precondition(status == 0)
    return thread
}
