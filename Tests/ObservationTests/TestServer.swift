import CKernel
import Glibc
import NIOCore
import Testing

@testable import Control
@testable import Observation

/// The service on a port of the kernel's choice, with a desk that answers at once, or when the test says so.
final class TestServer {
    let desk = FakeDesk()
    let port: UInt16
    private let server: ObservationServer

    /// - Parameter report: nil: nobody answers but ``desk``.
    init(hosts: [String] = [], page: Page = Page(), report: Report? = ObservationTests.report()) throws {
        let loopback: [UInt8] = Array(repeating: 0, count: 10) + [0xFF, 0xFF, 127, 0, 0, 1]
        let fd = unsafe ck_listen(loopback, true, false, 0, 64, true)
        try #require(fd >= 0)
        port = UInt16(ck_bound_port(fd))
        let desk = desk
        server = try ObservationServer(listening: fd, hosts: hosts, page: page) { isScrape, answer in
            let isAccepted = desk.ask(isScrape, answer)
            if let report, isAccepted { desk.answer(report) }
            return isAccepted
        }
    }

    deinit { try? server.stop() }

    func client() -> TestClient { TestClient(port: port) }

    /// The whole of what is said until the end.
    func exchange(_ text: String) -> String {
        let client = client()
        client.send(text)
        return client.readToEnd()
    }

    func get(_ path: String, host: String = "127.0.0.1", _ fields: String = "") -> TestReply {
        TestReply(exchange("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)Connection: close\r\n\r\n"))
    }
}

struct TestReply {
    let status: Int
    let fields: [String: String]
    let body: String

    /// A reply that came whole, chunked or not, or its head alone.
    init(_ text: String, isHead: Bool = false) {
        let end = text.firstRange(of: "\r\n\r\n")
        let lines = text[..<(end?.lowerBound ?? text.endIndex)].split(separator: "\r\n")
        status = lines.first.flatMap { Int($0.dropFirst(9).prefix(3)) } ?? 0
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let name = line.prefix { $0 != ":" }
            fields[name.lowercased()] = String(line[name.endIndex...].dropFirst(2))
        }
        self.fields = fields
        let rest = end.map { String(text[$0.upperBound...]) } ?? ""
        body = !isHead && fields["transfer-encoding"] == "chunked" ? Self.unchunked(rest) : rest
    }

    private static func unchunked(_ text: String) -> String {
        var bytes = Array(text.utf8)[...]
        var whole: [UInt8] = []
        while let end = bytes.firstIndex(of: 13) {
            guard let size = Int(String(decoding: bytes[..<end], as: UTF8.self), radix: 16) else { break }
            if size == 0 { return String(decoding: whole, as: UTF8.self) }
            whole += bytes[(end + 2)...].prefix(size)
            bytes = bytes[(end + 2)...].dropFirst(size + 2)
        }
        Issue.record("the last chunk is missing")
        return ""
    }
}

/// A client that waits for everything, as long as a slow machine may take.
final class TestClient {
    private let fd: Int32

    init(port: UInt16) {
        fd = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var timeout = timeval(tv_sec: 60, tv_usec: 0)
        _ = unsafe setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        // A client that reads slowly does so soon.
        var size: Int32 = 16 << 10
        _ = unsafe setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        let result = try? unsafe SocketAddress(ipAddress: "127.0.0.1", port: Int(port)).withSockAddr { address, size in
            unsafe connect(fd, address, socklen_t(size))
        }
        if result != 0 { Issue.record("no connection to port \(port): \(errno)") }
    }

    deinit { _ = Glibc.close(fd) }

    func finish() { _ = shutdown(fd, Int32(SHUT_WR)) }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        var offset = 0
        while offset < bytes.count {
            let sent = unsafe bytes.withUnsafeBytes { bytes in
                unsafe Glibc.send(fd, bytes.baseAddress! + offset, bytes.count - offset, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return }
            offset += sent
        }
    }

    /// What is there, at most so much. Empty: the end.
    func read(_ capacity: Int = 1 << 16) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: capacity)
        let count = unsafe recv(fd, &bytes, bytes.count, 0)
        if count < 0, errno == EAGAIN { Issue.record("nothing came") }
        return Array(bytes.prefix(max(count, 0)))
    }

    func readToEnd() -> String {
        var bytes: [UInt8] = []
        while true {
            let more = read()
            if more.isEmpty { return String(decoding: bytes, as: UTF8.self) }
            bytes += more
        }
    }

    /// Up to a text, and what came along behind it.
    func read(until text: String) -> String {
        var bytes: [UInt8] = []
        while true {
            let more = read()
            // It may begin in what was there before.
            let new = bytes.suffix(text.utf8.count) + more
            bytes += more
            if String(decoding: new, as: UTF8.self).contains(text) || more.isEmpty { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Nothing comes for a while.
    func isQuiet(milliseconds: Int32) -> Bool { !ck_is_readable(fd, milliseconds) }
}
