import HTTP1
import Testing

/// Where a chunked body ends, what is in it, and what breaks it.
@Suite struct ChunkedReaderTests {
    private struct Outcome: Equatable {
        var status = ChunkedReader.Status.more
        var consumed = 0
        var data: [UInt8] = []
    }

    /// Bodies with the data in them; what follows the end belongs to somebody else.
    private static let bodies: [(String, String)] = [
        ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", "abc"),
        ("A\r\n0123456789\r\n000\r\nX: y\r\nZ:\r\n\r\n", "0123456789"),
        ("3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n", "abc"),
        ("3 \t;a\r\nabc\r\n0\t;\r\n\r\n", "abc"), ("0003\r\n\r\n0\r\n0\r\n\r\n", "\r\n0"),
        ("f\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n0\r\n\r\n0\r\n\r\n"),
    ]

    /// Feeds pieces and stops at the end or at a fault.
    private func passed(_ text: String, pieces: (Int) -> Int, trailerLimit: Int = 65_536) -> Outcome {
        let buffer = PaddedBuffer(text.utf8)
        var reader = ChunkedReader(trailerLimit: trailerLimit)
        var outcome = Outcome()
        while outcome.consumed < buffer.count && outcome.status == .more {
            let end = min(buffer.count, outcome.consumed + pieces(outcome.consumed))
            var consumed = 0
            outcome.status = unsafe reader.advance(buffer.raw(outcome.consumed, end), consumed: &consumed)
            outcome.consumed += consumed
        }
        return outcome
    }

    private func decoded(_ text: String, pieces: (Int) -> Int) -> Outcome {
        let buffer = PaddedBuffer(text.utf8)
        var reader = ChunkedReader()
        var outcome = Outcome()
        while outcome.consumed < buffer.count && outcome.status == .more {
            let start = outcome.consumed
            let end = min(buffer.count, start + pieces(start))
            var offset = 0
            while true {
                let run = unsafe reader.nextData(buffer.raw(start, end), offset: &offset, status: &outcome.status)
                if run.isEmpty { break }
                unsafe outcome.data += buffer.raw(start + run.lowerBound, start + run.upperBound)
            }
            outcome.consumed = start + offset
        }
        return outcome
    }

    private func status(_ text: String) -> ChunkedReader.Status { passed(text) { _ in Int.max / 2 }.status }

    @Test("a body ends at the same place however it is split, and no byte behind it is taken")
    func everySplit() {
        for (body, data) in Self.bodies {
            for rest in ["", "GET / HTTP/1.1\r\n", "0\r\n\r\n"] {
                let count = (body + rest).utf8.count
                for first in 1...count {
                    let pieces = { (start: Int) in start < first ? first - start : count }
                    let outcome = passed(body + rest, pieces: pieces)
                    #expect(outcome == Outcome(status: .finished, consumed: body.utf8.count), "\(body) at \(first)")
                    let decoded = decoded(body + rest, pieces: pieces)
                    #expect(decoded.status == .finished && decoded.consumed == body.utf8.count)
                    #expect(decoded.data == Array(data.utf8), "\(body) at \(first)")
                }
            }
        }
    }

    @Test("all pairs of piece sizes give the same end and the same data")
    func everyPairOfPieces() {
        for (body, data) in Self.bodies {
            for one in 1...9 {
                for two in 1...9 {
                    let pieces = { (start: Int) in start.isMultiple(of: 2) ? one : two }
                    #expect(passed(body, pieces: pieces) == Outcome(status: .finished, consumed: body.utf8.count))
                    #expect(decoded(body, pieces: pieces).data == Array(data.utf8))
                }
            }
        }
    }

    @Test("a body that is not all there goes on")
    func prefixes() {
        for (body, _) in Self.bodies {
            for count in 0..<body.utf8.count {
                let part = String(decoding: body.utf8.prefix(count), as: UTF8.self)
                let outcome = passed(part) { _ in 1000 }
                #expect(outcome == Outcome(status: .more, consumed: count))
            }
        }
    }

    @Test(
        "a chunk size is hexadecimal digits and nothing else",
        arguments: [
            "\r\n", "x\r\n", "+5\r\n", "-5\r\n", " 5\r\n", "\t5\r\n", "0x5\r\n", "5h\r\n", "5_0\r\n", "5.0\r\n",
            "5,5\r\n",
            "5 \r\n", "5\t\r\n", "5 5\r\n", "5\"\r\n", ";a\r\n", "g\r\n", "5\u{b2}\r\n", "\0", "5\0", "5 x\r\n",
            "5=\r\n",
        ])
    func badSize(line: String) {
        #expect(status(line + "hello\r\n0\r\n\r\n") == .broken)
    }

    @Test func aSizeThatOverflowsBreaksTheBody() {
        for size in [
            "8000000000000000", "ffffffffffffffff", "10000000000000000", "00000000000000000", "7ffffffffffffffff",
            "100000000000000000005",
        ] {
            #expect(status(size + "\r\nhello") == .broken, "\(size)")
        }
        #expect(status("7fffffffffffffff\r\nhello") == .more)
        #expect(status("0000000000000005\r\nhello\r\n0\r\n\r\n") == .finished)
    }

    @Test func linesEndWithCarriageReturnAndLineFeed() {
        for body in [
            "5\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhello\r0\r\n\r\n", "5\rhello\r\n0\r\n\r\n", "0\n\n",
            "0\r\n\n", "0\n\r\n", "0\r\n\r\r", "5\r\r\nhello", "5;a\nhello\r\n0\r\n\r\n", "5;a\rb\r\nhello",
            "0\r\nX: y\n\r\n",
            "0\r\nX: y\r\r\n\r\n", "0\r\nX: y\rZ\r\n\r\n",
        ] {
            #expect(status(body) == .broken, "\(body)")
        }
    }

    @Test func dataIsEndedByItsLineEnd() {
        for body in ["5\r\nhelloX\r\n", "5\r\nhello0\r\n\r\n", "2\r\nhello\r\n0\r\n\r\n", "6\r\nhello\r\n0\r\n\r\n"] {
            #expect(status(body) == .broken, "\(body)")
        }
    }

    @Test func extensionsArePassedOverButBounded() {
        let longest = String(repeating: "x", count: ChunkedReader.extensionLimit - 1)
        #expect(status("1;\(longest)\r\na\r\n0\r\n\r\n") == .finished)
        #expect(status("1;\(longest)x\r\na\r\n0\r\n\r\n") == .broken)
        #expect(status("1;\(longest)\r\na\r\n1;\(longest)\r\na\r\n0\r\n\r\n") == .finished)
        #expect(status("1" + String(repeating: " ", count: 5000)) == .broken)
        #expect(status("1;a\0b\r\na") == .broken)
        #expect(status("1;a=\"\\\"\";b\r\na\r\n0\r\n\r\n") == .finished)
        #expect(status("1;a=\"\r\n\"\r\n") == .broken)
        #expect(status("1;a=\"\\\"\r\na\r\n0\r\n\r\n") == .broken)
        #expect(status("1;a=\"\\\r\n\"\r\n") == .broken)
        #expect(status("1;a=\"\n\"\r\na\r\n0\r\n\r\n") == .broken)
    }

    @Test func trailersAreCheckedLikeFields() {
        #expect(status("0\r\nX: y\r\nA:\tb\u{e4}\r\n\r\n") == .finished)
        for trailer in [": y", "X : y", " X: y", "X", "X\u{e4}: y", "X: \0", "X: \u{7f}", "X y", "\t", "X: y\r\n z"] {
            #expect(status("0\r\n\(trailer)\r\n\r\n") == .broken, "\(trailer)")
        }
    }

    @Test func trailersAreBounded() {
        let fields = String(repeating: "X: y\r\n", count: ChunkedReader.trailerFieldLimit)
        #expect(status("0\r\n\(fields)\r\n") == .finished)
        #expect(status("0\r\n\(fields)X: y\r\n\r\n") == .broken)
        #expect(passed("0\r\nX: y\r\n\r\n", pieces: { _ in 100 }, trailerLimit: 8).status == .finished)
        #expect(passed("0\r\nX: yz\r\n\r\n", pieces: { _ in 100 }, trailerLimit: 8).status == .broken)
        #expect(status("0\r\nX: " + String(repeating: "y", count: 70_000)) == .broken)
        // An extension has a bound of its own.
        #expect(passed("0;extension\r\nX: y\r\n\r\n", pieces: { _ in 100 }, trailerLimit: 8).status == .finished)
    }

    @Test func nothingIsTakenBehindAFaultOrTheEnd() {
        for (body, expected) in [("5\r\nhelloX", ChunkedReader.Status.broken), ("0\r\n\r\n", .finished)] {
            let buffer = PaddedBuffer(body.utf8)
            var reader = ChunkedReader()
            var consumed = 0
            #expect(unsafe reader.advance(buffer.raw, consumed: &consumed) == expected)
            #expect(unsafe reader.advance(buffer.raw, consumed: &consumed) == expected && consumed == 0)
            #expect(reader.status == expected)
        }
    }

    @Test func dataIsGivenInRunsAsLongAsTheBytesAllow() {
        let buffer = PaddedBuffer("5\r\nhello\r\n3\r\nabc\r\n0\r\n\r\nrest".utf8)
        var reader = ChunkedReader()
        var offset = 0
        var status = ChunkedReader.Status.more
        let one = unsafe reader.nextData(buffer.raw, offset: &offset, status: &status)
        #expect(one == ByteRange(offset: 3, count: 5) && status == .more)
        let two = unsafe reader.nextData(buffer.raw, offset: &offset, status: &status)
        #expect(two == ByteRange(offset: 13, count: 3) && status == .more)
        let three = unsafe reader.nextData(buffer.raw, offset: &offset, status: &status)
        #expect(three.isEmpty && status == .finished && offset == buffer.count - 4)
    }
}
