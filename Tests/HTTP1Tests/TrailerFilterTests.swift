import HTTP1
import Testing

/// What goes on of a request's trailer fields.
@Suite struct TrailerFilterTests {
    private func filtered(_ bytes: [UInt8], cuts: [Int]) -> [UInt8] {
        let buffer = PaddedBuffer(bytes)
        var filter = TrailerFilter()
        var output: [UInt8] = []
        var start = 0
        for cut in cuts + [bytes.count] {
            output += unsafe written(room: cut - start + TrailerFilter.longestHeld) { destination in
                unsafe filter.pass(buffer.raw(start, cut), to: destination)
            }
            start = cut
        }
        return output
    }

    private func filtered(_ text: String) -> String {
        String(decoding: filtered(Array(text.utf8), cuts: []), as: UTF8.self)
    }

    private static let ours = [
        "Host", "Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Connection",
        "Proxy-Authenticate", "Proxy-Authorization", "Proxy-", "TE", "Upgrade", "Expect", "X-Forwarded-For",
        "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Max-Forwards",
    ]

    private static let others = [
        "Trailer", "ETag", "X-Checksum", "Hos", "Hosts", "T", "Tea", "Content-Lengt", "Content-Lengths", "Content-MD5",
        "Transfer-Encodin", "Transfer-Encodings", "Transfer-Encoding-X", "X-Forwarded", "X-Forwardedfor", "Proxy",
        "Proxyx",
        "Connection-X", "_Host", "Keep--Alive", "Max-Forward", "X-X-Forwarded-For", "Server-Timing", "Expect-CT", "X",
        "^ost",
    ]

    /// The rule, slowly: whole lines, names folded.
    private func reference(_ text: String) -> String {
        let lines = text.split(separator: "\r\n" as Character, omittingEmptySubsequences: false).dropLast()
        let kept = lines.filter { line in
            let name = line.prefix { $0 != ":" }.lowercased().replacing("_", with: "-")
            return !Self.ours.contains { $0.lowercased() == name } && !name.hasPrefix("proxy-")
                && !name.hasPrefix("x-forwarded-")
        }
        return kept.map { $0 + "\r\n" }.joined()
    }

    @Test("each name that is ours goes with its line, in every spelling, and any other passes")
    func names() {
        for name in Self.ours + Self.others {
            for name in [name, name.lowercased(), name.uppercased(), name.replacing("-", with: "_")] {
                for text in ["\(name): x\r\n\r\n", "A:\r\n\(name):\r\nB: \(name): y\r\n\(name):z\r\n\r\n"] {
                    #expect(filtered(text) == reference(text), "\(text)")
                }
            }
        }
        #expect(filtered("Host: a\r\nX: y\r\ncontent_LENGTH:5\r\n\r\n") == "X: y\r\n\r\n")
        #expect(filtered("X_Forwarded-For: 6.6.6.6\r\n\r\n") == "\r\n")
        #expect(filtered("\r\n") == "\r\n")
    }

    @Test("what goes on is the same however a section is split in two")
    func everySplit() {
        for one in Self.ours + Self.others {
            for two in ["Host", "X-Checksum", "Transfer-Encoding", "Proxy-", "Content-MD5"] {
                let text = "\(one): \(two):x\r\n\(two.uppercased()):\r\n\r\n"
                let bytes = Array(text.utf8)
                let expected = Array(reference(text).utf8)
                for cut in 0...bytes.count { #expect(filtered(bytes, cuts: [cut]) == expected, "\(text) at \(cut)") }
                #expect(filtered(bytes, cuts: Array(1..<bytes.count)) == expected, "\(text)")
            }
        }
    }

    @Test("what goes on is the same however a section is split in three", arguments: ours + others)
    func everyPairOfSplits(name: String) {
        let text = "A: b\r\n\(name): c\r\nHost:\r\n\(name.replacing("-", with: "_")):d\r\n\r\n"
        let bytes = Array(text.utf8)
        let expected = Array(reference(text).utf8)
        for one in 0...bytes.count {
            for two in one...bytes.count {
                if filtered(bytes, cuts: [one, two]) != expected { Issue.record("\(text) at \(one) and \(two)") }
            }
        }
    }

    @Test("a name that passes is written as the client wrote it")
    func spelling() {
        for name in [
            "cOnTeNt_LENGTHs", "Transfer_Encoding_", "X_fORWARDED", "pROXY", "T", "eXPECt-", "Max_Forward", "te_",
        ] {
            let bytes = Array((name + ": x\r\n\r\n").utf8)
            #expect(filtered(bytes, cuts: []) == bytes && filtered(bytes, cuts: Array(1..<bytes.count)) == bytes)
        }
    }

    @Test func aFilterIsSmall() { #expect(MemoryLayout<TrailerFilter>.stride == 8) }

    @Test func noMoreIsHeldThanIsSaid() {
        #expect(TrailerFilter.longestHeld <= 24)
        for name in Self.ours + Self.others {
            let bytes = Array((name + ": x\r\n").utf8)
            for cut in 0...bytes.count {
                let gone = filtered(Array(bytes.prefix(cut)), cuts: []).count
                let isDropped = reference(name + ": x\r\n").isEmpty
                #expect(isDropped ? gone == 0 : cut - gone <= TrailerFilter.longestHeld)
            }
        }
    }
}
