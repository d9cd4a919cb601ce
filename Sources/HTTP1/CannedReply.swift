/// The small fixed replies of the proxy itself: a sentence each that says what is wrong and what to do.
public enum CannedReply {
    /// Bytes that a reply has at most.
    public static var longest: Int { @_noLocks get { 1024 } }

    /// Why a request got its status, where more can be said.
    public enum Cause: Sendable, CaseIterable {
        case none
        /// It may have been executed, and must not be executed twice.
        case mayHaveRun
        /// It was too large to be kept for another attempt.
        case notKept
        /// Every attempt failed, or there was no time for another one.
        case spent
        /// Of a 400: it came without TLS to a port that speaks it.
        case plain
        /// Of a 502 or 503: the proxy itself has no room.
        case noRoom
        /// Of a 504: the service takes no more of the request's body.
        case bodyNotTaken

        // The service's reply is refused: the causes of a scan by what has to be mended (see ``Refusal/replyCause``).

        /// Its head has more bytes than are taken.
        case replyTooLarge
        /// Its head has more fields, or names more in Connection, than are taken.
        case replyTooManyFields
        /// It does not begin with a status line.
        case replyNotHTTP
        /// A line of its head is no field line.
        case replyBadFields
        /// Where its body ends cannot be known.
        case replyBadFraming
        /// It is 101, and nobody asked for another protocol.
        case replyUnaskedSwitch
    }

    /// Writes a whole reply.
    ///
    /// - Parameters:
    ///   - status: one of the statuses that have a text here; any other one is written as 500. 200, which has no
    ///     content, is for an OPTIONS that goes no further, 405 for such a TRACE.
    ///   - cause: what more can be said; what does not go with the status changes nothing.
    ///   - retryAfterSeconds: what Retry-After says (RFC 9110 §10.2.3); 0 for none.
    ///   - close: whether the connection ends with the reply.
    ///   - bodyless: whether the reply is to HEAD, so that its body is described and left out.
    ///   - date: what ``HTTPDate`` says now; if it is empty, the reply has no Date.
    ///   - destination: at least ``longest`` bytes.
    /// - Returns: the bytes written.
    @_noLocks public static func write(
        status: UInt16, cause: Cause = .none, retryAfterSeconds: Int, close: Bool, bodyless: Bool,
        date: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        to destination: UnsafeMutableRawBufferPointer
    ) -> Int {
        precondition(destination.count >= longest, "a canned reply has room")
        let text = Text(status, cause)
        let hasContent = text.sentence.utf8CodeUnitCount > 0
        var writer = unsafe ByteWriter(destination)
        writer.append("HTTP/1.1 ")
        writer.append(text.reason)
        if hasContent { writer.append("\r\nContent-Type: text/plain; charset=utf-8") }
        // Without this, caches may keep a 404, 414 or 501 by themselves (RFC 9110 §15.1).
        writer.append("\r\nCache-Control: no-store\r\nContent-Length: ")
        writer.append(decimal: hasContent ? text.sentence.utf8CodeUnitCount &+ 1 : 0)
        // RFC 9110 §15.5.6: all methods that are known here but the one that is refused.
        if status == 405 { writer.append("\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT") }
        if retryAfterSeconds > 0 {
            writer.append("\r\nRetry-After: ")
            writer.append(decimal: retryAfterSeconds)
        }
        if date.count > 0 {
            precondition(date.count == HTTPDate.byteCount, "a date is written by HTTPDate")
            writer.append("\r\nDate: ")
            unsafe writer.append(date)
        }
        if close { writer.append("\r\nConnection: close") }
        writer.append("\r\n\r\n")
        if !bodyless && hasContent {
            writer.append(text.sentence)
            writer.append("\n")
        }
        return writer.count
    }

    private struct Text {
        /// Status and reason phrase (RFC 9110 §15).
        let reason: StaticString
        let sentence: StaticString

        @_noLocks init(_ status: UInt16, _ cause: Cause) {
            switch status {
            // Of an OPTIONS that asks us alone.
            case 200: self = Text("200 OK", "")
            case 400 where cause == .plain:
                self = Text("400 Bad Request", "this port speaks TLS; begin the address with https:// instead")
            case 400..<500: self = Text(client: status)
            case 502: self = Text(cause)
            case 503 where cause == .noRoom:
                self = Text("503 Service Unavailable", "the proxy has no room at the moment; try again soon")
            case 504 where cause == .bodyNotTaken:
                self = Text("504 Gateway Timeout", "the service took no more of the request's body; look at its log")
            default: self = Text(server: status)
            }
        }

        @_noLocks private init(_ cause: Cause) {
            let sentence: StaticString =
                switch cause {
                case .none, .plain, .bodyNotTaken: "the service sent an invalid reply; look at its log"
                case .replyTooLarge:
                    "the head of the service's reply is too large; let it send smaller fields, cookies for example"
                case .replyTooManyFields:
                    "the service's reply has too many fields; let the service send fewer, cookies for example"
                case .replyNotHTTP:
                    "the service's reply does not begin with a status line of HTTP/1; look at what listens there"
                case .replyBadFields:
                    "the service's reply has a line in its head that is no valid field; look at the fields that it sets"
                case .replyBadFraming:
                    "the service's reply does not tell where it ends; look at its Content-Length and Transfer-Encoding"
                case .replyUnaskedSwitch:
                    "the service switched to another protocol, which the request had not asked for; look at its log"
                case .noRoom: "the proxy has no memory for the service's reply at the moment; try again soon"
                case .mayHaveRun:
                    "the service broke off; the request may have been executed, so it was not sent to another one"
                case .notKept: "the service broke off; the request was too large to be kept, please send it again"
                case .spent: "the service broke off each time the request was sent to it; look at its log"
                }
            self = Text("502 Bad Gateway", sentence)
        }

        @_noLocks private init(_ reason: StaticString, _ sentence: StaticString) {
            self.reason = reason
            self.sentence = sentence
        }

        @_noLocks private init(client status: UInt16) {
            self =
                switch status {
                case 404: Text("404 Not Found", "no service is registered for this host and path")
                case 405:
                    Text("405 Method Not Allowed", "a TRACE that ends here is not echoed; send it without Max-Forwards")
                case 408: Text("408 Request Timeout", "the request took too long to arrive; send it again, faster")
                case 414: Text("414 URI Too Long", "the request's target is too long; shorten it, or send it as a body")
                case 431:
                    Text(
                        "431 Request Header Fields Too Large",
                        "the head of the request is too large; send fewer or smaller fields, cookies for example")
                default:
                    Text("400 Bad Request", "the request is not valid HTTP/1.1, or could be read in two ways; mend it")
                }
        }

        @_noLocks private init(server status: UInt16) {
            self =
                switch status {
                case 501:
                    Text("501 Not Implemented", "the method or the transfer coding is unknown here; use another one")
                case 503: Text("503 Service Unavailable", "the service is not there at the moment; try again soon")
                case 504:
                    Text("504 Gateway Timeout", "the service did not reply in time; try again, or look at its log")
                case 508:
                    Text("508 Loop Detected", "the request has come back again and again; its service leads here")
                case 505: Text("505 HTTP Version Not Supported", "only HTTP/1.1 and HTTP/1.0 are spoken here")
                default: Text("500 Internal Server Error", "the proxy failed; its log may tell why")
                }
        }
    }
}
