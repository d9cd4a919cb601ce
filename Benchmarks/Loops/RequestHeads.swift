import HTTP1

extension Loop {
    static let requestHeads: [Loop] = [
        scan("a small GET", RequestSample.small),
        scan("a browser's GET", RequestSample.browser),
        scan("a GET with 32 fields", RequestSample.manyFields),
        scan("an absolute target", RequestSample.absolute),
        scan("a chunked POST", RequestSample.chunkedPost),
        scan("an upgrade", RequestSample.upgrade),
        scan("CONNECT", RequestSample.connect),
        scan("half of a browser's GET", String(RequestSample.browser.prefix(300))),
        findEnd("a browser's GET in pieces of 64 bytes", RequestSample.browser),
        sniff("a request", RequestSample.small),
        sniff("a hello of TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}"),
    ]

    private static func scan(_ what: String, _ text: String) -> Loop {
        Loop("HTTP1: scan \(what)") {
            let bytes = unsafe padded(text.utf8)
            let limits = HeadLimits()
            return { count in
                var head = RequestHead()
                var sum = 0
                for _ in 0..<count {
                    let status = unsafe head.scan(bytes, limits: limits)
                    precondition(status != .refused, "a sample that is no request")
                    sum &+= head.byteCount &+ 1
                }
                return sum
            }
        }
    }

    private static func findEnd(_ what: String, _ text: String) -> Loop {
        Loop("HTTP1: find the end of \(what)") {
            let bytes = unsafe padded(text.utf8)
            return { count in
                var sum = 0
                for _ in 0..<count {
                    var finder = HeadEndFinder()
                    var offset = 0
                    while offset < bytes.count {
                        let end = min(offset &+ 64, bytes.count)
                        sum &+= unsafe finder.advance(UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
                        offset = end
                    }
                }
                return sum
            }
        }
    }

    private static func sniff(_ what: String, _ text: String) -> Loop {
        Loop("HTTP1: tell \(what) by its first bytes") {
            let bytes = unsafe padded(text.unicodeScalars.map { UInt8($0.value) })
            return { count in
                var sum = 0
                for index in 0..<count {
                    // Not the same every time, or the compiler asks once.
                    let some = unsafe UnsafeRawBufferPointer(start: bytes.baseAddress, count: bytes.count &- index & 1)
                    sum &+= unsafe Int(RequestSniffer.judge(some).rawValue) &+ 1
                }
                return sum
            }
        }
    }
}

/// Requests as clients send them.
enum RequestSample {
    static let small = head("GET / HTTP/1.1", "Host: 127.0.0.1:8000")

    static let browser = head(
        "GET /articles/2026/reverse-proxies?page=2&order=date HTTP/1.1",
        "Host: www.example.com",
        "Connection: keep-alive",
        "Cache-Control: max-age=0",
        "sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"",
        "sec-ch-ua-mobile: ?0",
        "sec-ch-ua-platform: \"Linux\"",
        "Upgrade-Insecure-Requests: 1",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "Sec-Fetch-Site: same-origin",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-User: ?1",
        "Sec-Fetch-Dest: document",
        "Referer: https://www.example.com/articles/2026/",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
        "Cookie: session=4f1c2b7a9d8e4c6fb1a2; theme=dark; consent=necessary"
    )

    static let manyFields =
        "GET /a HTTP/1.1\r\nHost: example.com\r\n"
        + (1...31).map { "X-Field-\($0): the value of field number \($0)\r\n" }.joined() + "\r\n"

    static let absolute = head(
        "GET http://www.example.com:8000/articles?page=2 HTTP/1.1", "Host: other.example.com", "Accept: */*")

    static let chunkedPost = head(
        "POST /upload HTTP/1.1", "Host: www.example.com", "Content-Type: application/octet-stream",
        "Transfer-Encoding: chunked", "Expect: 100-continue")

    static let upgrade = head(
        "GET /chat HTTP/1.1", "Host: www.example.com", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")

    static let connect = head("CONNECT www.example.com:443 HTTP/1.1", "Host: www.example.com:443")

    /// From behind another proxy, with what that one has set.
    static let forwarded = head(
        "GET /articles HTTP/1.1", "Host: www.example.com", "X-Forwarded-For: 192.0.2.7, 198.51.100.2",
        "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example.com", "Connection: close, X-Hop", "X-Hop: 1")
}
