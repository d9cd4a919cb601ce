import Exchanges
import HTTP1
import Testing

@Suite struct RequestTests {
    /// Takes a body in pieces of which no more than so many bytes go on at once. Returns what went on, and whether it
    /// was broken.
    private func take(_ body: [UInt8], of head: String, _ pieces: [Range<Int>], room: Int) -> ([UInt8], Bool) {
        var state = started(head)
        var passed: [UInt8] = []
        var left: [UInt8] = []
        for piece in pieces {
            left += body[piece]
            while state.isInBody, !left.isEmpty {
                let taken =
                    state.isInTrailers
                    ? unsafe padded(left) { unsafe state.takeTrailers($0) }
                    : unsafe padded(left) { unsafe state.takeBody($0, atMost: room) }
                passed += left.prefix(taken.count)
                left.removeFirst(taken.count)
                if taken.isBroken { return (passed, true) }
                if taken.count == 0, !state.isInTrailers { break }
            }
        }
        #expect(state.request == .finished)
        return (passed, false)
    }

    private let bodies: [(String, String)] = [
        (counted, "12345"), (chunked, "3\r\nabc\r\n0\r\n\r\n"), (chunked, "1;a=b\r\na\r\n2\r\nbc\r\n0\r\nX: y\r\n\r\n"),
    ]

    @Test func `a body ends where it ends, however it is cut and however little goes on at once`() {
        for (head, body) in bodies {
            let bytes = Array((body + "GET /").utf8)
            for pieces in cuts(of: bytes.count) {
                for room in [1, 2, 5, 100] {
                    let (passed, isBroken) = take(bytes, of: head, pieces, room: room)
                    #expect(!isBroken && passed.elementsEqual(body.utf8))
                }
            }
        }
    }

    @Test func `a chunk that is none is broken at the same byte, however it is cut`() {
        for (body, count) in [("2\r\nabc", 5), ("3\r\nabc\r\nx", 8), ("1\r\na\r\n0\r\nX y\r\n", 10), ("-1\r\n", 0)] {
            let bytes = Array(body.utf8)
            for pieces in cuts(of: bytes.count) {
                let (passed, isBroken) = take(bytes, of: chunked, pieces, room: 100)
                #expect(isBroken && passed.count == count, "\(body) at \(pieces)")
            }
        }
    }

    @Test func `without a body a request is whole with its head`() {
        for head in [get, old, upgrade, connect] { #expect(started(head).request == .finished) }
        for head in [counted, chunked] { #expect(started(head).request == .body) }
    }

    @Test func `whoever sends its body does not wait for 100 any more`() {
        var state = started(expecting)
        #expect(state.expectsContinue)
        #expect(unsafe padded([1]) { unsafe state.takeBody($0, atMost: 0) }.count == 0)
        #expect(state.expectsContinue)
        #expect(unsafe padded([1]) { unsafe state.takeBody($0, atMost: 1) }.count == 1)
        #expect(!state.expectsContinue)
    }

    @Test func `what is nobody's is dropped up to a bound`() {
        var state = started(get)
        state.endReply()
        state.discardRequest(atMost: 10)
        #expect(!state.drop(9) && state.request == .discarded)
        #expect(state.drop(1) && state.drop(100))
    }

    @Test func `the client's end is what the phase makes of it`() {
        var waiting = ExchangeState(now: 0)
        #expect(waiting.clientEnd(isMidHead: false, hasBytes: false) == .ends)
        #expect(waiting.clientEnd(isMidHead: true, hasBytes: true) == .ends)
        #expect(waiting.clientEnd(isMidHead: false, hasBytes: true) == .goesOn)
        waiting.beginWait()
        #expect(waiting.clientEnd(isMidHead: false, hasBytes: true) == .leaves)
        var again = started(get)
        again.startAnew(now: 0)
        again.beginWait()
        #expect(again.clientEnd(isMidHead: false, hasBytes: true) == .goesOn)
        #expect(started(counted).clientEnd(isMidHead: false, hasBytes: true) == .goesOn)
        #expect(started(counted).clientEnd(isMidHead: false, hasBytes: false) == .vanishes)
        #expect(started(get).clientEnd(isMidHead: false, hasBytes: true) == .passesEndIfNothingIsBehind)
        #expect(started(get).clientEnd(isMidHead: false, hasBytes: false) == .passesEnd)
        var gone = started(get)
        gone.discardRequest(atMost: 1)
        #expect(gone.clientEnd(isMidHead: false, hasBytes: false) == .goesOn)
        var early = started(counted)
        #expect(early.take("HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n") == .reply)
        #expect(early.finishReply(isLast: false) == .rest)
        #expect(early.clientEnd(isMidHead: false, hasBytes: true) == .goesOn)
        #expect(early.clientEnd(isMidHead: false, hasBytes: false) == .ends)
    }
}
