import HTTP1
import Testing

/// The end of a head that arrives in pieces.
@Suite struct HeadEndFinderTests {
    /// The offset of the end in the whole, or -1, when the text arrives in pieces that end at `cuts`.
    private func end(of bytes: [UInt8], cuts: [Int], isReply: Bool = false) -> Int {
        let buffer = PaddedBuffer(bytes, padding: Array("\r\n".utf8))
        var finder = HeadEndFinder()
        var start = 0
        for cut in cuts + [bytes.count] {
            let piece = unsafe buffer.raw(start, cut)
            let found = unsafe isReply ? finder.advanceInReply(piece) : finder.advance(piece)
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

    // MARK: Where the finder has to begin

    @Test("whoever has looked at some bytes before, a fresh finder given all of them finds the end that the scan finds")
    func fromEveryStart() {
        for sample in Self.samples {
            let bytes = Array((sample + "rest\r\n\r\n").utf8)
            let buffer = PaddedBuffer(bytes, padding: Array("\r\n\r\n".utf8))
            for seen in 0...bytes.count {
                // Somebody else has looked at the first bytes, and scanned them.
                var earlier = HeadEndFinder()
                _ = unsafe earlier.advance(buffer.raw(0, seen))
                var head = RequestHead()
                _ = unsafe head.scan(buffer.raw(0, seen), limits: HeadLimits())
                for next in seen...bytes.count {
                    let found = end(of: Array(bytes.prefix(next)), cuts: [seen])
                    #expect(found == (next >= sample.utf8.count ? sample.utf8.count : -1), "\(sample) at \(seen)")
                }
                let found = end(of: bytes, cuts: [seen])
                if !sample.hasPrefix("HTTP") && sample.contains("Host") {
                    #expect(unsafe head.scan(buffer.raw, limits: HeadLimits()) == .complete)
                    #expect(found == head.byteCount)
                }
            }
        }
    }

    @Test("a finder that is begun in the middle cannot be relied on")
    func begunInTheMiddle() {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest of a body\r\n\r\n".utf8)
        let count = bytes.count - "rest of a body\r\n\r\n".utf8.count
        let wrong = (1..<count).filter { start in end(of: Array(bytes.dropFirst(start)), cuts: []) != count - start }
        // Within a line end it sees a fault, and within the last two it waits for the end of something else.
        #expect(wrong == [15, 23, 24, 25])
        #expect(end(of: Array(bytes.dropFirst(count - 4)), cuts: []) == bytes.count - count + 4)
    }

    // MARK: Replies

    private static let replies = [
        "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\nA: b\r\n\n",
        "HTTP/1.1 200 OK\r\n\n", "HTTP/1.1 200 OK\n\r\n", "HTTP/1.1 200\nA:\nB: c\r\nContent-Length: 0\nC: d\r\n\r\n",
        "HTTP/1.0 404 Not\tFound\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n\r\n",
    ]

    @Test("a line of a reply may end with a line feed alone, however the head is split")
    func bareLineFeedsInReplies() {
        for sample in Self.replies {
            let count = sample.utf8.count
            for rest in ["", "body", "\n\n", "\r\n\r\n"] {
                let bytes = Array((sample + rest).utf8)
                for one in 0...count {
                    for two in one...count {
                        #expect(
                            end(of: bytes, cuts: [one, two], isReply: true) == count, "\(sample) at \(one), \(two)")
                    }
                }
                #expect(end(of: bytes, cuts: Array(1..<bytes.count), isReply: true) == count)
            }
            for length in 0..<count {
                #expect(end(of: Array(sample.utf8.prefix(length)), cuts: [], isReply: true) == -1)
            }
        }
    }

    @Test("an empty line in place of the status line is an end, so that the scan can refuse it")
    func emptyStatusLine() {
        for sample in ["\n", "\r\n"] {
            for cut in 0...sample.utf8.count {
                #expect(
                    end(of: Array((sample + "HTTP/1.1 200 OK").utf8), cuts: [cut], isReply: true) == sample.utf8.count)
            }
            #expect(ScannedReply(sample).status == .refused)
        }
    }

    private func mended(_ text: String, room: Int? = nil) -> String? {
        let buffer = PaddedBuffer(text.utf8)
        var isTooSmall = false
        let bytes = unsafe written(room: room ?? 2 * text.utf8.count) { destination in
            let count = unsafe ResponseHead.mendLineEnds(buffer.raw, to: destination)
            isTooSmall = count < 0
            return max(0, count)
        }
        return isTooSmall ? nil : String(decoding: bytes, as: UTF8.self)
    }

    @Test("a mended head is what the service meant, and a whole one is as it was")
    func mending() {
        for sample in Self.replies {
            let whole = sample.replacing("\r\n", with: "\n").replacing("\n", with: "\r\n")
            #expect(mended(sample) == whole)
            let scanned = ScannedReply(sample)
            #expect(scanned.status == (sample == whole ? .complete : .refused))
            #expect(sample == whole || scanned.head.refusal == .bareLineFeed)
            let again = ScannedReply(whole + "body")
            #expect(again.status == .complete && again.head.byteCount == whole.utf8.count)
        }
    }

    @Test func aHeadThatDoesNotFitIsNotMended() {
        let sample = "HTTP/1.1 200 OK\nA: b\n\n"
        for room in 1..<(sample.utf8.count + 3) { #expect(mended(sample, room: room) == nil) }
        #expect(mended(sample, room: sample.utf8.count + 3) == "HTTP/1.1 200 OK\r\nA: b\r\n\r\n")
    }

    @Test func whatIsWrongOtherwiseStaysWrong() {
        for (sample, refusal) in [
            ("HTTP/1.1 200 OK\nA : b\n\n", Refusal.spaceBeforeColon), ("HTTP/1.1 200 OK\nA: b\n c\n\n", .lineFolding),
            ("HTTP/1.1 200 OK\nA\n\n", .missingColon), ("HTTP/1.1 200 OK\rA: b\n\n", .bareCarriageReturn),
            ("HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6\n\n", .conflictingLengths),
            ("HTTP/1.1 200 OK\nA: \0\n\n", .nullByte), ("HTTP/1.1 200 OK\nA: b\r\r\n\n", .bareCarriageReturn),
        ] {
            #expect(ScannedReply(mended(sample) ?? "").head.refusal == refusal, "\(sample)")
        }
    }
}
