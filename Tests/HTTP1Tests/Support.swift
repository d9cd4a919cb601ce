import HTTP1

extension RandomNumberGenerator {
    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }
    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// A scanned request together with its bytes, in types that are easy to compare.
final class ScannedRequest {
    var head = RequestHead()
    let buffer: PaddedBuffer
    let status: HeadStatus

    convenience init(_ text: String, limits: HeadLimits = HeadLimits()) {
        self.init(bytes: Array(text.utf8), limits: limits)
    }

    init(bytes: [UInt8], limits: HeadLimits = HeadLimits()) {
        buffer = PaddedBuffer(bytes)
        status = unsafe head.scan(buffer.raw, limits: limits)
    }

    func text(_ range: ByteRange) -> String { String(decoding: buffer.bytes(range), as: UTF8.self) }

    // What an expectation asks of it has to be of a type that can be copied.
    var keepAlive: Bool { head.keepAlive }
    var isUpgrade: Bool { head.isUpgrade }
    var lacksHost: Bool { head.lacksHost }
    var maxForwards: Int { head.maxForwards }
    var expectsContinue: Bool { head.expectsContinue }
    var host: String { text(head.host) }
    var target: String { text(head.target) }

    /// The path to route by, or nil if it is refused.
    var path: [UInt8]? {
        var found: [UInt8]?
        _ = unsafe written(room: max(1, Int(head.target.count))) { scratch in
            found = unsafe head.routingPath(in: buffer.raw, scratch: scratch).map { unsafe Array($0) }
            return 0
        }
        return found
    }

    func edited(
        address: String = "192.0.2.7", host: String = "", isTLS: Bool = false, isTrusted: Bool = false,
        loopMark: UInt64 = 0
    ) -> [UInt8] {
        let addressBuffer = PaddedBuffer(address.utf8)
        let hostBuffer = PaddedBuffer(host.utf8)
        let forwarding = unsafe Forwarding(
            address: addressBuffer.raw, isTLS: isTLS, isTrusted: isTrusted, loopMark: loopMark)
        return unsafe written(room: head.byteCount + RequestHead.editedHeadSlack) { destination in
            unsafe head.writeEdited(
                from: buffer.raw, forwarding: forwarding, host: hostBuffer.raw, to: destination)
        }
    }
}

/// The same for a reply.
final class ScannedReply {
    var head = ResponseHead()
    let buffer: PaddedBuffer
    let status: HeadStatus

    init(_ text: String, to method: Method = .get, limits: HeadLimits = HeadLimits()) {
        buffer = PaddedBuffer(text.utf8)
        status = unsafe head.scan(buffer.raw, limits: limits, request: method)
    }

    var keepAlive: Bool { head.keepAlive }
    var isInterim: Bool { head.isInterim }

    func edited(close: Bool = false, clientMinorVersion: UInt8 = 1, date: String = "") -> String {
        let dateBuffer = PaddedBuffer(date.utf8)
        let edit = ResponseEdit(close: close, clientMinorVersion: clientMinorVersion)
        let bytes = unsafe written(room: head.byteCount + ResponseHead.editedHeadSlack) { destination in
            unsafe head.writeEdited(from: buffer.raw, edit: edit, date: dateBuffer.raw, to: destination)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// The refusal of a request that consists of these lines, each ended by CRLF, and an empty one.
func refusal(_ lines: String..., limits: HeadLimits = HeadLimits()) -> Refusal {
    ScannedRequest(lines.map { $0 + "\r\n" }.joined() + "\r\n", limits: limits).head.refusal
}

/// The refusal of a request with these fields beside its Host.
func refusal(fields: String...) -> Refusal {
    ScannedRequest("POST / HTTP/1.1\r\nHost: a\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n").head.refusal
}
