import Testing

@testable import HTTP1

private let mark: UInt64 = 0x0123_4567_89ab_cdef
private let own = "socketmaster-0123456789abcdef"

private func passes(_ fields: String) -> Int {
    let scanned = ScannedRequest("GET / HTTP/1.1\r\nHost: x\r\n\(fields)\r\n")
    #expect(scanned.status == .complete)
    return unsafe scanned.head.passes(of: mark, in: scanned.buffer.raw)
}

@Suite struct LoopMarkTests {
    @Test func `each pass adds a mark and keeps those before it`() {
        var head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        for pass in 0..<30 {
            let scanned = ScannedRequest(head)
            #expect(unsafe scanned.head.passes(of: mark, in: scanned.buffer.raw) == pass)
            #expect(scanned.head.hasLoopMarks == (pass > 0))
            head = String(decoding: scanned.edited(loopMark: mark), as: UTF8.self)
        }
    }

    @Test func `who asks for no mark gets none`() {
        let edited = ScannedRequest("GET / HTTP/1.1\r\nHost: x\r\n\r\n").edited()
        #expect(!String(decoding: edited, as: UTF8.self).contains("CDN-Loop"))
    }

    @Test(arguments: [
        ("", 0), ("CDN-Loop: \(own)\r\n", 1), ("cdn-loop:\(own)\r\n", 1), ("Cdn-Loop: \(own), \(own)\r\n", 2),
        ("CDN-Loop: other, \(own); v=1,\r\nX: y\r\nCDN-Loop: \(own)\r\n", 2),
        ("CDN-Loop: socketmaster-\r\n", 0), ("CDN-Loop: socketmaster-0123456789abcde\r\n", 0),
        ("CDN-Loop: socketmaster-0123456789abcdee\r\n", 0), ("CDN-Loop: \r\n", 0), ("CDN-Loop: ,,,\r\n", 0),
        ("CDN-Loop: x\(own)\r\n", 0), ("CDN-Loops: \(own)\r\n", 0), ("X: \(own)\r\n", 0),
    ]) func `marks of this proxy are counted, and no others`(fields: String, count: Int) {
        #expect(passes(fields) == count)
    }

    @Test func `a client cannot have its marks taken away`() {
        let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: cdn-loop\r\nCDN-Loop: \(own)\r\n\r\n"
        let edited = String(decoding: ScannedRequest(head).edited(), as: UTF8.self)
        #expect(edited.contains("CDN-Loop: \(own)\r\n"))
    }

    @Test func `marks among more lines than are noted are counted`() {
        let lines = String(repeating: "TE: trailers\r\n", count: 40)
        #expect(passes(lines + "CDN-Loop: \(own)\r\n" + lines + "CDN-Loop: \(own)\r\n") == 2)
    }
}
