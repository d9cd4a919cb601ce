import Exchanges
import HTTP1
import Testing

@Suite struct ReplyTests {
    /// Takes a reply's body in pieces. Returns what went on, how many bytes were taken, and what it came to.
    private func take(
        _ body: [UInt8], _ head: String, to request: String, _ pieces: [Range<Int>]
    ) -> (passed: [UInt8], taken: Int, status: ChunkedReader.Status) {
        var state = started(request)
        #expect(state.take(head) == .reply)
        var passed: [UInt8] = []
        var taken = 0
        for piece in pieces {
            var left = Array(body[piece])
            while !left.isEmpty {
                let (count, status) = takeOne(&state, left, &passed)
                taken += count
                left.removeFirst(min(count, left.count))
                if status != .more { return (passed, taken, status) }
            }
        }
        return (passed, taken, .more)
    }

    private func takeOne(
        _ state: inout ExchangeState, _ bytes: [UInt8], _ passed: inout [UInt8]
    ) -> (Int, ChunkedReader.Status) {
        guard state.decodesChunks else {
            let piece = unsafe padded(bytes) { unsafe state.takeReply($0) }
            passed += bytes.prefix(piece.passed)
            return (piece.taken, piece.status)
        }
        var offset = 0
        var status = ChunkedReader.Status.more
        while true {
            let run = unsafe padded(bytes) { unsafe state.nextData($0, offset: &offset, status: &status) }
            if run.isEmpty { return (status == .more ? bytes.count : offset, status) }
            passed += bytes[run.lowerBound..<run.upperBound]
        }
    }

    private let chunks = "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"

    @Test func `a reply ends where it ends, however it is cut`() {
        let replies: [(head: String, body: String, passed: String, request: String)] = [
            ("HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n", "12345", "12345", get),
            (chunks, "3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", get),
            (chunks, "3 \r\nabc\r\n0  \r\nA: b\r\n\r\n", "3\r\nabc\r\n0\r\nA: b\r\n\r\n", get),
            (chunks, "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "abcd", old),
        ]
        for reply in replies {
            let bytes = Array((reply.body + "HTTP").utf8)
            for pieces in cuts(of: bytes.count) {
                let (passed, taken, status) = take(bytes, reply.head, to: reply.request, pieces)
                #expect(status == .finished && passed.elementsEqual(reply.passed.utf8), "\(reply.body) at \(pieces)")
                #expect(taken == reply.body.utf8.count)
            }
        }
    }

    @Test func `one that ends with its connection never ends by itself`() {
        let bytes = Array("0\r\n\r\n".utf8)
        for pieces in cuts(of: bytes.count) {
            let (passed, taken, status) = take(bytes, "HTTP/1.1 200 x\r\n\r\n", to: get, pieces)
            #expect(status == .more && passed == bytes && taken == bytes.count)
        }
        var state = started(get)
        #expect(!state.isWholeByServiceEnd)
        #expect(state.take("HTTP/1.1 200 x\r\n\r\n") == .reply)
        #expect(state.isWholeByServiceEnd && state.endsByClosing && !state.keepsAlive)
        var short = started(get)
        #expect(short.take("HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n") == .reply)
        #expect(!short.isWholeByServiceEnd && !short.endsByClosing && short.keepsAlive)
    }

    @Test func `a chunk that is none breaks a reply at the same byte`() {
        for request in [get, old] {
            let bytes = Array("3\r\nabc\r\nx\r\n".utf8)
            for pieces in cuts(of: bytes.count) {
                let (passed, _, status) = take(bytes, chunks, to: request, pieces)
                #expect(status == .broken && passed.elementsEqual(request == old ? "abc".utf8 : "3\r\nabc\r\n".utf8))
            }
        }
    }

    @Test func `interim replies go on, but to clients that know none`() {
        for status in [100, 102, 103, 199] {
            var state = started(expecting)
            #expect(state.take("HTTP/1.1 \(status) x\r\n\r\n") == .interim)
            #expect(state.hasHeardInterim && state.awaitsReply && state.expectsContinue == (status != 100))
            var older = started(old)
            #expect(older.take("HTTP/1.1 \(status) x\r\n\r\n") == .unknownInterim)
            #expect(!older.hasHeardInterim && older.awaitsReply)
        }
    }

    @Test func `only who has asked for it becomes a relay`() {
        let switching = "HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
        for (request, step) in [(upgrade, ReplyHeadStep.relay), (get, .unaskedRelay), (connect, .unaskedRelay)] {
            var state = started(request)
            #expect(state.take(switching) == step)
            #expect(state.awaitsReply)
        }
        // Within trailer fields there is no place where the other protocol could begin.
        for (body, step) in [("0\r\n", ReplyHeadStep.relay), ("0\r\nX", .unaskedRelay)] {
            var state = started(upgrade.replacing("\r\n\r\n", with: "\r\nTransfer-Encoding: chunked\r\n\r\n"))
            #expect(unsafe padded(Array(body.utf8)) { unsafe state.takeBody($0, atMost: 100) }.count == 3)
            #expect(state.take(switching) == step)
        }
        for (status, step) in [(200, ReplyHeadStep.relay), (299, .relay), (300, .reply), (403, .reply)] {
            var state = started(connect)
            #expect(state.take("HTTP/1.1 \(status) x\r\nContent-Length: 1\r\n\r\n") == step)
            #expect(step == .relay || !state.keepsAlive)
        }
    }

    @Test func `what follows a reply is what it has promised`() {
        let reply = "HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\n"
        func end(_ request: String, _ reply: String, isLast: Bool = false, thenLast: Bool = false) -> ReplyEndStep {
            var state = started(request)
            #expect(state.take(reply, isLast: isLast) == .reply)
            let keepsAlive = state.keepsAlive
            let step = state.finishReply(isLast: thenLast)
            #expect(state.isUnanswered)
            #expect(!keepsAlive || step == .next || step == .rest || thenLast, "a promise is kept")
            #expect(keepsAlive || step == .end || step == .endAmidRequest)
            return step
        }
        #expect(end(get, reply) == .next)
        #expect(end(get, reply, isLast: true) == .end)
        #expect(end(get, reply, thenLast: true) == .end)
        #expect(end(get, "HTTP/1.1 200 x\r\n\r\n") == .end)
        #expect(end(old, reply) == .end)
        #expect(end(counted, reply) == .rest)
        #expect(end(counted, reply, thenLast: true) == .rest)
        #expect(end(counted, reply, isLast: true) == .endAmidRequest)
        #expect(end(expecting, reply) == .endAmidRequest)
        #expect(end(chunked, reply) == .endAmidRequest)
        #expect(end(connect, "HTTP/1.1 403 x\r\nContent-Length: 1\r\n\r\n") == .endAmidRequest)
        let large = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \(ExchangeState.skippedBytes)\r\n\r\n"
        #expect(end(large, reply) == .rest)
        let larger = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: \(ExchangeState.skippedBytes + 1)\r\n\r\n"
        #expect(end(larger, reply) == .endAmidRequest)
    }

    @Test func `behind what is skipped the next request begins, however it is cut`() {
        for pieces in cuts(of: 9) {
            var state = started(counted)
            #expect(state.take("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n") == .reply)
            #expect(state.finishReply(isLast: false) == .rest)
            var skipped = 0
            for piece in pieces where state.request == .skipped { skipped += state.skip(piece.count) }
            #expect(skipped == 5 && state.request == .head)
        }
    }
}
