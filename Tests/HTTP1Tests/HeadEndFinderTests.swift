import HTTP1
import Testing

/// The end of a head that arrives in pieces.
@Suite struct HeadEndFinderTests {
    /// The offset of the end in the whole, or -1, when the text arrives in pieces that end at `cuts`.
    private func end(of bytes: [UInt8], cuts: [Int]) -> Int {
        let buffer = PaddedBuffer(bytes, padding: Array("\r\n".utf8))
        var finder = HeadEndFinder()
        var start = 0
        for cut in cuts + [bytes.count] {
            let found = unsafe finder.advance(buffer.raw(start, cut))
            if found >= 0 {
                #expect(finder.byteCount == start + found)
                return start + found
            }
            #expect(finder.byteCount == cut)
            start = cut
        }
        return -1
    }

    private static let samples = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "A\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\n\r\n\r\nG\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n",
    ]

    @Test("the end of a head is found however it is split in two or three, and nothing behind it counts")
    func everySplit() {
        for sample in Self.samples {
            let count = sample.utf8.count
            let bytes = Array((sample + "rest\r\n\r\n").utf8)
            for one in 0...count {
                #expect(end(of: bytes, cuts: [one]) == count, "\(sample) at \(one)")
                for two in one...count { #expect(end(of: bytes, cuts: [one, two]) == count) }
            }
            #expect(end(of: bytes, cuts: Array(1..<bytes.count)) == count)
        }
    }

    @Test("no end is found before the last byte")
    func prefixes() {
        for sample in Self.samples {
            for count in 0..<sample.utf8.count {
                #expect(end(of: Array(sample.utf8.prefix(count)), cuts: []) == -1)
                #expect(end(of: Array(sample.utf8.prefix(count)), cuts: [count / 2]) == -1)
            }
        }
    }

    @Test("what the scan is sure to refuse is an end, so that nobody waits for the rest")
    func faults() {
        for sample in [
            "GET / HTTP/1.1\nHost: a\n\n", "A\n\r\n", "A\r\n\n", "A\r\nB\n", "\n", "\r\r", "\rA", "\r\n\n", "\r\n\rA",
            String(repeating: "\r\n", count: 5),
        ] {
            let bytes = Array(sample.utf8)
            for cut in 0...bytes.count {
                let found = end(of: bytes + Array("xxxx".utf8), cuts: [cut])
                #expect(found > 0 && found <= bytes.count, "\(sample) at \(cut)")
                #expect(ScannedRequest(bytes: Array(bytes.prefix(found))).status == .refused, "\(sample)")
            }
        }
    }

    @Test("a carriage return alone is left to the scan")
    func carriageReturn() {
        #expect(end(of: Array("A\rB\r\r".utf8), cuts: [2]) == -1)
        #expect(end(of: Array("A\rB\r\n\r\n".utf8), cuts: [2]) == 7)
    }
}
