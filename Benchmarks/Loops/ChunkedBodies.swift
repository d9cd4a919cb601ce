import HTTP1

extension Loop {
    static let chunkedBodies: [Loop] = [
        follow("64 KiB in chunks of 4 KiB", chunkBytes: 4096, chunkCount: 16),
        follow("1 KiB in chunks of 16 bytes", chunkBytes: 16, chunkCount: 64),
        followReply("1 KiB in chunks of 16 bytes", chunkBytes: 16, chunkCount: 64),
        takeOut("64 KiB in chunks of 4 KiB", chunkBytes: 4096, chunkCount: 16),
    ]

    /// Passes the chunks on as they are.
    private static func follow(_ what: String, chunkBytes: Int, chunkCount: Int) -> Loop {
        Loop("HTTP1: follow \(what)") {
            let body = unsafe padded(chunkedBody(chunkBytes: chunkBytes, chunkCount: chunkCount))
            return { count in
                var sum = 0
                for _ in 0..<count {
                    var reader = ChunkedReader()
                    var consumed = 0
                    let status = unsafe reader.advance(body, consumed: &consumed)
                    precondition(status == .finished, "a sample that is no body")
                    sum &+= consumed
                }
                return sum
            }
        }
    }

    /// The same of a reply, where sizes may have blanks behind them.
    private static func followReply(_ what: String, chunkBytes: Int, chunkCount: Int) -> Loop {
        Loop("HTTP1: follow a reply of \(what)") {
            let body = unsafe padded(chunkedBody(chunkBytes: chunkBytes, chunkCount: chunkCount))
            return { count in
                var sum = 0
                for _ in 0..<count {
                    var reader = ChunkedReader()
                    var consumed = 0
                    var blanks = 0
                    let status = unsafe reader.advanceReply(body, consumed: &consumed, blanks: &blanks)
                    precondition(status == .finished, "a sample that is no body")
                    sum &+= consumed &+ blanks
                }
                return sum
            }
        }
    }

    /// Takes the data out of them, as for a client of HTTP/1.0.
    private static func takeOut(_ what: String, chunkBytes: Int, chunkCount: Int) -> Loop {
        Loop("HTTP1: take the data out of \(what)") {
            let body = unsafe padded(chunkedBody(chunkBytes: chunkBytes, chunkCount: chunkCount))
            return { count in
                var sum = 0
                for _ in 0..<count {
                    var reader = ChunkedReader()
                    var offset = 0
                    var status = ChunkedReader.Status.more
                    while status == .more {
                        sum &+= unsafe Int(reader.nextData(body, offset: &offset, status: &status).count)
                    }
                }
                return sum
            }
        }
    }

    private static func chunkedBody(chunkBytes: Int, chunkCount: Int) -> [UInt8] {
        let chunk =
            Array("\(String(chunkBytes, radix: 16))\r\n".utf8)
            + [UInt8](repeating: UInt8(ascii: "x"), count: chunkBytes) + Array("\r\n".utf8)
        var body: [UInt8] = []
        for _ in 0..<chunkCount { body += chunk }
        return body + Array("0\r\n\r\n".utf8)
    }
}
