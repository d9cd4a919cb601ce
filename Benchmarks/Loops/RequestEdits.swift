import HTTP1

extension Loop {
    static let requestEdits: [Loop] = [
        edit("a small GET", RequestSample.small, isTrusted: false),
        edit("a browser's GET", RequestSample.browser, isTrusted: false),
        edit("a trusted proxy's GET", RequestSample.forwarded, isTrusted: true),
        path("that is plain", "/articles/2026/reverse-proxies?page=2"),
        path("with escapes and dots", "/articles/%7Eme/./drafts/../2026/a%20b?page=2"),
    ]

    private static func edit(_ what: String, _ text: String, isTrusted: Bool) -> Loop {
        Loop("HTTP1: edit \(what)") {
            let bytes = unsafe padded(text.utf8)
            let head = scanned(text)
            let address = unsafe padded("203.0.113.195".utf8)
            let room = head.byteCount + RequestHead.editedHeadSlack
            let target = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 64)
            return { count in
                let forwarding = unsafe Forwarding(address: address, isTLS: false, isTrusted: isTrusted)
                var sum = 0
                for _ in 0..<count { sum &+= unsafe head.writeEdited(from: bytes, forwarding: forwarding, to: target) }
                return sum
            }
        }
    }

    private static func path(_ what: String, _ target: String) -> Loop {
        let text = "GET \(target) HTTP/1.1\r\nHost: example.com\r\n\r\n"
        return Loop("HTTP1: find a path \(what)") {
            let bytes = unsafe padded(text.utf8)
            let head = scanned(text)
            let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: text.utf8.count, alignment: 64)
            return { count in
                var sum = 0
                for _ in 0..<count { sum &+= unsafe head.routingPath(in: bytes, scratch: scratch)?.count ?? 0 }
                return sum
            }
        }
    }

    private static func scanned(_ text: String) -> RequestHead {
        var head = RequestHead()
        let status = unsafe head.scan(padded(text.utf8), limits: HeadLimits())
        precondition(status == .complete, "a sample that is no request")
        return head
    }
}
