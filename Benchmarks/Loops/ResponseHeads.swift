import HTTP1

extension Loop {
    static let responseHeads: [Loop] = [
        scan("a small reply", small), scan("a reply with 20 fields", manyFields),
        edit("a small reply", small), edit("a reply with 20 fields", manyFields),
    ]

    private static func scan(_ what: String, _ text: String) -> Loop {
        Loop("HTTP1: scan \(what)") {
            let bytes = unsafe padded(text.utf8)
            let limits = HeadLimits()
            return { count in
                var head = ResponseHead()
                var sum = 0
                for _ in 0..<count {
                    let status = unsafe head.scan(bytes, limits: limits, request: .get)
                    precondition(status == .complete, "a sample that is no reply")
                    sum &+= head.byteCount
                }
                return sum
            }
        }
    }

    private static func edit(_ what: String, _ text: String) -> Loop {
        Loop("HTTP1: edit \(what)") {
            let bytes = unsafe padded(text.utf8)
            let head = scanned(text)
            let room = head.byteCount + ResponseHead.editedHeadSlack
            let target = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 64)
            return { count in
                let edit = ResponseEdit(close: false, clientMinorVersion: 1)
                var sum = 0
                for _ in 0..<count { sum &+= unsafe head.writeEdited(from: bytes, edit: edit, to: target) }
                return sum
            }
        }
    }

    private static func scanned(_ text: String) -> ResponseHead {
        var head = ResponseHead()
        let status = unsafe head.scan(padded(text.utf8), limits: HeadLimits(), request: .get)
        precondition(status == .complete, "a sample that is no reply")
        return head
    }

    /// As the HTTP server of Go's library sends it.
    private static let small = head(
        "HTTP/1.1 200 OK", "Date: Mon, 23 Nov 2026 10:00:00 GMT", "Content-Length: 6",
        "Content-Type: text/plain; charset=utf-8")

    private static let manyFields =
        "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n"
        + (1...18).map { "X-Field-\($0): the value of field number \($0)\r\n" }.joined() + "\r\n"
}
