/// A reply as a client reads it.
struct ModelReply {
    var status = 0
    /// -1: a reply of the proxy's own.
    var id = -1
    var attempt = -1
    var body: [UInt8] = []
    var isWhole = false
    var isTunnel = false
    /// Only the end of the connection tells that it is whole.
    var endsByClosing = false
}

/// Reads what a client has got the way of RFC 9112 §6.3, by means of its own.
func readReplies(_ bytes: [UInt8], to requests: [ModelRequest], isClosed: Bool) -> [ModelReply] {
    var replies: [ModelReply] = []
    var rest = bytes[...]
    while !rest.isEmpty, replies.count <= requests.count {
        guard let head = line(of: &rest, upTo: "\r\n\r\n") else {
            replies.append(ModelReply())
            break
        }
        let lines = head.split(separator: "\r\n").map(String.init)
        var reply = ModelReply()
        reply.status = Int(lines[0].split(separator: " ")[1]) ?? 0
        if reply.status < 200 && reply.status != 101 { continue }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmed }
            fields[parts[0].lowercased()] = parts.count > 1 ? parts[1] : ""
        }
        reply.id = fields["x-id"].flatMap { Int($0) } ?? -1
        reply.attempt = fields["x-try"].flatMap { Int($0) } ?? -1
        let request = replies.count < requests.count ? requests[replies.count] : nil
        readBody(&reply, &rest, fields, request, isClosed: isClosed)
        replies.append(reply)
        if !reply.isWhole || reply.isTunnel { break }
    }
    return replies
}

private func readBody(
    _ reply: inout ModelReply, _ rest: inout ArraySlice<UInt8>, _ fields: [String: String], _ request: ModelRequest?,
    isClosed: Bool
) {
    reply.isWhole = true
    if reply.status == 101 || request?.kind == .connect && reply.status == 200 {
        reply.isTunnel = true
        reply.body = Array(rest)
    } else if request?.kind == .head || reply.status == 304 || reply.status == 204 {
        return
    } else if fields["transfer-encoding"] != nil {
        reply.isWhole = readChunks(&reply, &rest)
    } else if let count = fields["content-length"].flatMap({ Int($0) }) {
        reply.body = Array(rest.prefix(count))
        reply.isWhole = reply.body.count == count
        rest = rest.dropFirst(count)
    } else {
        reply.body = Array(rest)
        reply.endsByClosing = true
        reply.isWhole = isClosed
        rest = []
    }
}

private func readChunks(_ reply: inout ModelReply, _ rest: inout ArraySlice<UInt8>) -> Bool {
    while let size = line(of: &rest, upTo: "\r\n"), let count = Int(size, radix: 16), rest.count >= count + 2 {
        reply.body += rest.prefix(count)
        rest = rest.dropFirst(count)
        guard rest.starts(with: [13, 10]) else { return false }
        rest = rest.dropFirst(2)
        if count == 0 { return true }
    }
    return false
}

/// Takes what stands before a mark, and the mark.
private func line(of bytes: inout ArraySlice<UInt8>, upTo mark: String) -> String? {
    let mark = Array(mark.utf8)
    var place = bytes.startIndex
    while place + mark.count <= bytes.endIndex {
        if bytes[place..<place + mark.count].elementsEqual(mark) {
            defer { bytes = bytes[(place + mark.count)...] }
            return String(decoding: bytes[..<place], as: UTF8.self)
        }
        place += 1
    }
    return nil
}

extension Substring {
    fileprivate var trimmed: String { String(drop { $0 == " " }) }
}
