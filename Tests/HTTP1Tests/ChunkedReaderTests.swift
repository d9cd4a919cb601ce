import HTTP1
import Testing

/// Where a chunked body ends, what is in it, and what breaks it.
@Suite struct ChunkedReaderTests {
    private struct Outcome: Equatable {
        var status = ChunkedReader.Status.more
        var consumed = 0
        var data: [UInt8] = []
        /// Where the trailer fields were begun, if there are any.
        var trailers: Int?
    }

    /// Bodies with the data in them; what follows the end belongs to somebody else.
    static let bodies: [(String, String)] = [
        ("0\r\n\r\n", ""), ("5\r\nhello\r\n0\r\n\r\n", "hello"), ("1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", "abc"),
        ("A\r\n0123456789\r\n000\r\nX: y\r\nZ:\r\n\r\n", "0123456789"),
        ("3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n", "abc"),
        ("3 \t;a\r\nabc\r\n0\t;\r\n\r\n", "abc"), ("0003\r\n\r\n0\r\n0\r\n\r\n", "\r\n0"),
        ("f\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n0\r\n\r\n0\r\n\r\n"),
    ]

    /// Feeds pieces of a request and stops at the end or at a fault.
    private func passed(_ text: String, pieces: (Int) -> Int, trailerLimit: Int = 65_536) -> Outcome {
        let buffer = PaddedBuffer(text.utf8)
        var reader = ChunkedReader(trailerLimit: trailerLimit)
        var outcome = Outcome()
        while outcome.consumed < buffer.count && outcome.status == .more {
            let end = min(buffer.count, outcome.consumed + pieces(outcome.consumed))
            var consumed = 0
            let bytes = unsafe buffer.raw(outcome.consumed, end)
            if reader.isInTrailers {
                outcome.status = unsafe reader.advanceTrailers(bytes, consumed: &consumed)
            } else {
                outcome.status = unsafe reader.advance(bytes, consumed: &consumed)
                if reader.isInTrailers { outcome.trailers = outcome.consumed + consumed }
            }
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

    /// Feeds pieces of a reply; `data` is what goes on to the client.
    private func replied(_ text: String, pieces: (Int) -> Int) -> Outcome {
        let buffer = PaddedBuffer(text.utf8)
        var reader = ChunkedReader()
        var outcome = Outcome()
        while outcome.consumed < buffer.count && outcome.status == .more {
            let start = outcome.consumed
            let end = min(buffer.count, start + pieces(start))
            var consumed = 0
            var blanks = 0
            outcome.status = unsafe reader.advanceReply(buffer.raw(start, end), consumed: &consumed, blanks: &blanks)
            unsafe outcome.data += buffer.raw(start, start + consumed)
            outcome.consumed += consumed + blanks
            #expect(reader.status == outcome.status)
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
                    let trailers = body.utf8.firstRange(of: "\r\nX:".utf8).map {
                        body.utf8.distance(from: body.startIndex, to: $0.lowerBound) + 2
                    }
                    let expected = Outcome(status: .finished, consumed: body.utf8.count, trailers: trailers)
                    #expect(outcome == expected, "\(body) at \(first)")
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
                    let outcome = passed(body, pieces: pieces)
                    #expect(outcome.status == .finished && outcome.consumed == body.utf8.count)
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
                #expect(outcome.status == .more && outcome.consumed == count)
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

    // MARK: Trailer fields of requests

    @Test("a request's reader stops before its first trailer field, and at nothing else")
    func stopBeforeTrailers() {
        for (body, start) in [
            ("0\r\nX: y\r\nZ: a\r\n\r\n", 3), ("1\r\na\r\n0;x\r\nX: y\r\n\r\n", 11), ("00\r\nX:\r\n\r\n", 4),
        ] {
            let buffer = PaddedBuffer(body.utf8)
            for cut in 0...buffer.count {
                var reader = ChunkedReader()
                var first = 0
                #expect(unsafe reader.advance(buffer.raw(0, min(cut, start)), consumed: &first) == .more)
                #expect(!reader.isInTrailers && first == min(cut, start))
                var second = 0
                #expect(unsafe reader.advance(buffer.raw(first, buffer.count), consumed: &second) == .more)
                #expect(reader.isInTrailers && first + second == start)
                var third = 0
                #expect(unsafe reader.advanceTrailers(buffer.raw(start, start), consumed: &third) == .more)
                #expect(reader.isInTrailers && third == 0)
                #expect(unsafe reader.advanceTrailers(buffer.raw(start, buffer.count), consumed: &third) == .finished)
                #expect(!reader.isInTrailers && start + third == buffer.count)
            }
        }
    }

    @Test("a body without trailer fields goes through in one call, and is never in them")
    func noTrailers() {
        for body in ["0\r\n\r\n", "1\r\na\r\n0\r\n\r\n", "0;x\r\n\r\n"] {
            let buffer = PaddedBuffer(body.utf8)
            for cut in 0...buffer.count {
                var reader = ChunkedReader()
                var first = 0
                var second = 0
                _ = unsafe reader.advance(buffer.raw(0, cut), consumed: &first)
                #expect(!reader.isInTrailers && first == cut)
                #expect(unsafe reader.advance(buffer.raw(cut, buffer.count), consumed: &second) == .finished)
                #expect(!reader.isInTrailers && first + second == buffer.count)
            }
        }
    }

    @Test func aReaderHasTheSizeThatConnectionsHaveRoomFor() { #expect(MemoryLayout<ChunkedReader>.size == 19) }

    // MARK: Replies

    /// Bodies whose sizes have blanks behind them, and what goes on to the client.
    private static let blanked = [
        ("5  \r\nhello\r\n0\t\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        ("1 \t \r\na\r\n2\r\nbc\r\n00    \r\nX: y \r\n\r\n", "1\r\na\r\n2\r\nbc\r\n00\r\nX: y \r\n\r\n"),
        ("3  ;a = b \r\nabc\r\n0 ;x\r\n\r\n", "3;a = b \r\nabc\r\n0;x\r\n\r\n"),
        ("3 \r\n \r \r\n0\r\n\r\n", "3\r\n \r \r\n0\r\n\r\n"),
    ]

    @Test("blanks behind the sizes of a reply do not go on, however it is split")
    func blanksInReplies() {
        for (body, expected) in Self.blanked + Self.bodies.map({ ($0.0, $0.0.replacing(" \t;", with: ";")) }) {
            let expected = expected.replacing("\t;", with: ";")
            let count = body.utf8.count
            for first in 1...count {
                for second in 1...count {
                    let pieces = { (start: Int) in start < first ? first - start : second }
                    let outcome = replied(body + "HTTP/1.1", pieces: pieces)
                    #expect(outcome.status == .finished && outcome.consumed == count, "\(body) at \(first)")
                    #expect(String(decoding: outcome.data, as: UTF8.self) == expected, "\(body) at \(first)")
                }
            }
        }
    }

    @Test("the data of such a reply is taken out all the same, and a request like it is broken")
    func blanksElsewhere() {
        for (body, expected) in Self.blanked {
            for piece in 1...body.utf8.count {
                let one = decoded(body) { _ in piece }
                let two = decoded(expected) { _ in piece }
                #expect(one.status == .finished && one.data == two.data && one.consumed == body.utf8.count)
                if body.contains(where: { $0 == ";" }) { continue }
                #expect(passed(body) { _ in piece }.status == .broken)
            }
        }
    }

    @Test(
        "blanks elsewhere break a reply, too",
        arguments: [
            " 5\r\nhello", "5\r\n hello", "5 5\r\n", "5 x\r\n", "5 \n", "5 \r\r\n", "5 \r \n", "5\r \n", "5 \0\r\n",
            "5\u{b}\r\n", "5 \u{c}\r\n", "5\r\nhello \r\n", "0\r\n \r\n", "0 \r\nX : y\r\n\r\n", "5 \"\r\n",
            "5 \r\nhellox",
            " \r\n", ";a\r\n", "\r\n",
        ])
    func brokenReplies(body: String) {
        for piece in 1...body.utf8.count {
            #expect(replied(body) { _ in piece }.status == .broken)
            #expect(decoded(body) { _ in piece }.status == .broken)
        }
    }

    @Test func blanksAreBoundedLikeExtensions() {
        let limit = ChunkedReader.extensionLimit
        for piece in [1, 1000, 4096, 100_000] {
            let longest = "1" + String(repeating: " ", count: limit)
            #expect(replied(longest + "\r\na\r\n0\r\n\r\n") { _ in piece }.status == .finished)
            #expect(replied(longest + "  \r\na\r\n0\r\n\r\n") { _ in piece }.status == .broken)
            #expect(decoded(longest + "  \r\na\r\n0\r\n\r\n") { _ in piece }.status == .broken)
        }
    }

    // MARK: The end

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
