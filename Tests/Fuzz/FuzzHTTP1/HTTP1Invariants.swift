import HTTP1

/// Bytes with 64 readable ones behind them, as the scanner wants them; what those hold is chosen by the test.
///
/// Has to be held by a variable while its ``raw`` is in use: a temporary is freed too early.
@safe final class PaddedBuffer {
    private let memory: UnsafeMutableRawBufferPointer
    let count: Int

    init(_ bytes: some Collection<UInt8>, padding: [UInt8] = [0xff]) {
        count = bytes.count
        unsafe memory = .allocate(byteCount: count + 64, alignment: 16)
        unsafe memory.copyBytes(from: bytes)
        for index in 0..<64 { unsafe memory[count + index] = padding[index % padding.count] }
    }

    deinit { unsafe memory.deallocate() }

    var raw: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: memory.baseAddress, count: count) }

    /// The bytes from `start` on, up to `end`; the rest of the buffer is their padding.
    func raw(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: raw[start..<end])
    }

    func bytes(_ range: ByteRange) -> [UInt8] { unsafe Array(raw[range.lowerBound..<range.upperBound]) }
}

/// Memory that an editor writes to: exactly as much as it asks for, so that a sanitizer sees what it writes beyond.
func written(room: Int, _ write: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 16)
    defer { unsafe memory.deallocate() }
    let count = unsafe write(memory)
    return unsafe Array(memory[0..<count])
}

/// What must hold for any bytes at all. Each check returns a sentence that tells what does not hold, or nil.
enum HTTP1Invariants {
    static let limits = HeadLimits(headBytes: 2048, fields: 24, targetBytes: 256)

    /// Runs all checks over one input.
    static func check(_ bytes: [UInt8]) -> String? {
        if let fault = checkRequest(bytes) { return "request: \(fault)" }
        for method in [Method.get, .head, .connect] {
            if let fault = checkReply(bytes, method) { return "reply to \(method): \(fault)" }
        }
        if let fault = checkLineEnds(bytes) { return "line ends of a reply: \(fault)" }
        if let fault = checkChunks(bytes) { return "chunks: \(fault)" }
        let buffer = PaddedBuffer(bytes)
        _ = unsafe RequestSniffer.judge(buffer.raw)
        return nil
    }

    // MARK: Requests

    private static func checkRequest(_ bytes: [UInt8]) -> String? {
        let buffer = PaddedBuffer(bytes)
        var head = RequestHead()
        let status = unsafe head.scan(buffer.raw, limits: limits)
        var again = RequestHead()
        let hostile = PaddedBuffer(bytes, padding: Array("\r\n\r\n: a/.1".utf8))
        if unsafe again.scan(hostile.raw, limits: limits) != status { return "depends on what is behind the bytes" }
        if (status == .refused) != (head.refusal != .none) { return "refused without a cause, or with one and not" }
        if let fault = checkEnd(buffer, status, head.byteCount) { return fault }
        if status == .refused { return head.refusal.status < 400 ? "a cause without a status" : nil }
        return status == .complete ? checkComplete(head, buffer) : nil
    }

    /// The finder stops at the end of a complete head, and does not run past what the scan has refused for good.
    private static func checkEnd(_ buffer: PaddedBuffer, _ status: HeadStatus, _ end: Int) -> String? {
        var finder = HeadEndFinder()
        let found = unsafe finder.advance(buffer.raw)
        switch status {
        case .complete: return found == end ? nil : "the finder says \(found), the scan \(end)"
        case .incomplete: return found < 0 ? nil : "the finder found an end, the scan none"
        case .refused: return nil
        }
    }

    /// A head that is valid is not changed, and the finder of replies ends where the scan of the mended head does.
    private static func checkLineEnds(_ bytes: [UInt8]) -> String? {
        let buffer = PaddedBuffer(bytes)
        var finder = HeadEndFinder()
        let end = unsafe finder.advanceInReply(buffer.raw)
        var strict = ResponseHead()
        let status = unsafe strict.scan(buffer.raw, limits: limits, request: .get)
        if status == .complete { return end == strict.byteCount ? nil : "the finder says \(end)" }
        if end < 0 { return nil }
        var split = HeadEndFinder()
        for index in bytes.indices {
            let found = unsafe split.advanceInReply(buffer.raw(index, index + 1))
            if found >= 0 && index + found != end { return "split: \(index + found), whole: \(end)" }
            if found >= 0 { break }
        }
        let mended = unsafe written(room: 2 * end) { unsafe ResponseHead.mendLineEnds(buffer.raw(0, end), to: $0) }
        let mendedBuffer = PaddedBuffer(mended)
        var head = ResponseHead()
        switch unsafe head.scan(mendedBuffer.raw, limits: HeadLimits(headBytes: 8192), request: .get) {
        case .complete:
            if status == .refused && strict.refusal != .bareLineFeed && strict.refusal != .headTooLarge
                && strict.refusal != .tooManyFields
            {
                return "mended, though it was \(strict.refusal)"
            }
            return head.byteCount == mended.count ? nil : "a mended head that ends early"
        case .incomplete: return "a mended head that is not whole"
        case .refused: return head.refusal == .bareLineFeed ? "not mended" : nil
        }
    }

    private static func checkComplete(_ head: borrowing RequestHead, _ buffer: PaddedBuffer) -> String? {
        if let path = path(head, buffer), path.first != 0x2f || path.contains(0) { return "a path that is none" }
        for isTrusted in [false, true] {
            let edited = edit(head, buffer, isTrusted: isTrusted)
            var second = RequestHead()
            let editedBuffer = PaddedBuffer(edited)
            let wide = HeadLimits(headBytes: 8192, fields: 64, targetBytes: 256)
            let status = unsafe second.scan(editedBuffer.raw, limits: wide)
            if status != .complete { return "an edited head that is refused: \(second.refusal)" }
            if let fault = compare(head, buffer, second, editedBuffer) { return fault }
            if edit(second, editedBuffer, isTrusted: false) != edit(second, editedBuffer, isTrusted: false) {
                return "editing is not repeatable"
            }
        }
        return nil
    }

    /// The path to route by, or nil if it is refused.
    private static func path(_ head: borrowing RequestHead, _ buffer: PaddedBuffer) -> [UInt8]? {
        var found: [UInt8]?
        _ = unsafe written(room: max(Int(head.target.count), 1)) { scratch in
            found = unsafe head.routingPath(in: buffer.raw, scratch: scratch).map { unsafe Array($0) }
            return 0
        }
        return found
    }

    static func edit(_ head: borrowing RequestHead, _ buffer: PaddedBuffer, isTrusted: Bool) -> [UInt8] {
        let address = PaddedBuffer("192.0.2.7".utf8)
        let localHost = PaddedBuffer("192.0.2.1:80".utf8)
        let forwarding = unsafe Forwarding(address: address.raw, isTLS: false, isTrusted: isTrusted)
        return unsafe written(room: head.byteCount + RequestHead.editedHeadSlack) { destination in
            unsafe head.writeEdited(
                from: buffer.raw, forwarding: forwarding, host: localHost.raw, to: destination)
        }
    }

    /// The service must see the request that was routed, with the body that is counted.
    private static func compare(
        _ one: borrowing RequestHead, _ oneBytes: PaddedBuffer, _ two: borrowing RequestHead, _ twoBytes: PaddedBuffer
    ) -> String? {
        if two.byteCount != twoBytes.count { return "an edited head that ends early" }
        if one.framing != two.framing || one.contentLength != two.contentLength { return "another body" }
        let target = twoBytes.bytes(two.target)
        let keepsTarget = one.method == .connect || [0x2f, 0x2a].contains(oneBytes.bytes(one.target).first)
        if keepsTarget && oneBytes.bytes(one.target) != target { return "another target" }
        if one.method != .connect && target.first != 0x2f && target != [0x2a] { return "a target for a proxy" }
        if path(one, oneBytes) != path(two, twoBytes) { return "another path" }
        let host = one.lacksHost ? Array("192.0.2.1".utf8) : oneBytes.bytes(one.host)
        if host != twoBytes.bytes(two.host) { return "another host" }
        if oneBytes.bytes(one.methodName) != twoBytes.bytes(two.methodName) { return "another method" }
        let left = one.maxForwards > 0 ? one.maxForwards - 1 : one.maxForwards
        // A valid 0 is answered here; what Connection names is not passed on.
        if two.maxForwards != left && one.maxForwards > 0 { return "another Max-Forwards" }
        if one.isUpgrade != two.isUpgrade || one.expectsContinue != two.expectsContinue { return "another wish" }
        return two.minorVersion == 1 ? nil : "another version than 1.1"
    }

    // MARK: Replies

    private static func checkReply(_ bytes: [UInt8], _ method: Method) -> String? {
        let buffer = PaddedBuffer(bytes)
        var head = ResponseHead()
        let status = unsafe head.scan(buffer.raw, limits: limits, request: method)
        if (status == .refused) != (head.refusal != .none) { return "refused without a cause, or with one and not" }
        if status == .refused && head.refusal.replyCause == .none { return "\(head.refusal) of a reply" }
        guard status == .complete else { return nil }
        let date = PaddedBuffer("Sun, 06 Nov 1994 08:49:37 GMT".utf8)
        for version in [UInt8(0), 1] {
            let edit = ResponseEdit(close: version == 0 && head.framing == .chunked, clientMinorVersion: version)
            let edited = unsafe written(room: head.byteCount + ResponseHead.editedHeadSlack) { destination in
                unsafe head.writeEdited(from: buffer.raw, edit: edit, date: date.raw, to: destination)
            }
            var second = ResponseHead()
            let editedBuffer = PaddedBuffer(edited)
            let wide = HeadLimits(headBytes: 8192, fields: 64, targetBytes: 256)
            let status = unsafe second.scan(editedBuffer.raw, limits: wide, request: method)
            if status != .complete { return "an edited head that is refused: \(second.refusal)" }
            if second.status != head.status { return "another status" }
            let isDecoded = version == 0 && head.framing == .chunked
            if second.framing != (isDecoded ? .untilClose : head.framing) { return "another body" }
        }
        return nil
    }

    // MARK: Chunked bodies

    /// However the bytes are split, the body ends at the same place and has the same data.
    private static func checkChunks(_ bytes: [UInt8]) -> String? {
        let buffer = PaddedBuffer(bytes)
        var whole = ChunkedReader(trailerLimit: 512)
        var consumed = 0
        var status = unsafe whole.advance(buffer.raw, consumed: &consumed)
        if whole.isInTrailers {
            if status != .more { return "in the trailers of what has ended" }
            var trailers = 0
            status = unsafe whole.advanceTrailers(buffer.raw(consumed, bytes.count), consumed: &trailers)
            if let fault = checkFilter(buffer, consumed, consumed + trailers) { return fault }
            consumed += trailers
        }
        if consumed > bytes.count || status == .more && consumed < bytes.count { return "consumed \(consumed)" }

        var split = ChunkedReader(trailerLimit: 512)
        var position = 0
        while position < bytes.count && split.status == .more {
            let end = min(bytes.count, position + 1 + position % 7)
            var step = 0
            if split.isInTrailers {
                _ = unsafe split.advanceTrailers(buffer.raw(position, end), consumed: &step)
            } else {
                _ = unsafe split.advance(buffer.raw(position, end), consumed: &step)
            }
            position += step
        }
        if split.status != status || position != consumed { return "split: \(position), whole: \(consumed)" }

        return checkReplyChunks(bytes, buffer, status, consumed)
    }

    /// A reply is passed and decoded alike, and like a request, but for blanks behind a size.
    private static func checkReplyChunks(
        _ bytes: [UInt8], _ buffer: PaddedBuffer, _ strict: ChunkedReader.Status, _ strictEnd: Int
    ) -> String? {
        var decoder = ChunkedReader(trailerLimit: 512)
        var offset = 0
        var decoded = ChunkedReader.Status.more
        while unsafe !decoder.nextData(buffer.raw, offset: &offset, status: &decoded).isEmpty {}

        for piece in [bytes.count, 1, 5] where piece > 0 {
            var reader = ChunkedReader(trailerLimit: 512)
            var position = 0
            var hasBlanks = false
            while position < bytes.count && reader.status == .more {
                var step = 0
                var blanks = 0
                let end = min(bytes.count, position + piece)
                _ = unsafe reader.advanceReply(buffer.raw(position, end), consumed: &step, blanks: &blanks)
                let skipped = bytes[(position + step)..<(position + step + blanks)]
                if !skipped.allSatisfy({ $0 == 32 || $0 == 9 }) { return "skipped what is not blank" }
                hasBlanks = hasBlanks || blanks > 0
                position += step + blanks
            }
            if reader.status != decoded || position != offset && decoded != .broken {
                return "decoded \(offset), passed \(position)"
            }
            if !hasBlanks && (decoded != strict || position != strictEnd) { return "a reply that is no request" }
        }
        return nil
    }

    /// The fields that are left out do not depend on how the section is split.
    private static func checkFilter(_ buffer: PaddedBuffer, _ start: Int, _ end: Int) -> String? {
        func filtered(_ piece: Int) -> [UInt8] {
            var filter = TrailerFilter()
            var output: [UInt8] = []
            var position = start
            while position < end {
                let next = min(end, position + piece)
                output += unsafe written(room: next - position + TrailerFilter.longestHeld) {
                    unsafe filter.pass(buffer.raw(position, next), to: $0)
                }
                position = next
            }
            return output
        }
        let whole = filtered(max(1, end - start))
        return filtered(1) == whole && filtered(3) == whole ? nil : "trailers depend on where they are split"
    }
}
