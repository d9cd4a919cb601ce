import Exchanges
import HTTP1

/// An exchange whose request, with this head, has been passed on.
func started(_ head: String, now: UInt64 = 0) -> ExchangeState {
    var state = ExchangeState(now: now)
    var request = RequestHead()
    let status = unsafe padded(Array(head.utf8)) { unsafe request.scan($0, limits: HeadLimits()) }
    precondition(status == .complete, "a head that is one")
    state.note(request, isLast: false, now: now)
    state.beginAttempt()
    state.start()
    return state
}

extension ExchangeState {
    /// The head of a reply comes.
    mutating func take(_ head: String, isLast: Bool = false) -> ReplyHeadStep {
        var reply = ResponseHead()
        let method = method
        let status = unsafe padded(Array(head.utf8)) { unsafe reply.scan($0, limits: HeadLimits(), request: method) }
        precondition(status == .complete, "a head that is one")
        return take(reply, isLast: isLast)
    }
}

/// Every way to cut something into two pieces, and into three.
func cuts(of count: Int) -> [[Range<Int>]] {
    var all: [[Range<Int>]] = []
    for first in 0...count {
        for second in first...count { all.append([0..<first, first..<second, second..<count]) }
    }
    return all
}

let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
let old = "GET / HTTP/1.0\r\nHost: a\r\n\r\n"
let counted = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
let chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
let expecting = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"
