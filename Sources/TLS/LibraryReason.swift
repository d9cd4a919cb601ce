internal import CTLS

/// What passes between BoringSSL and Swift as bytes in memory, the control thread's part.
///
/// Each buffer is Swift's, has the length that is said with it, and is not kept by the other side.
enum LibraryReason {
    /// Why the last call failed, in BoringSSL's words.
    static func take() -> String {
        var text = [CChar](repeating: 0, count: 120)
        unsafe text.withUnsafeMutableBufferPointer { buffer in
            unsafe ct_take_reason(buffer.baseAddress, buffer.count)
        }
        let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return bytes.isEmpty ? "no reason given" : String(decoding: bytes, as: UTF8.self)
    }

    static func rotateTicketKeys() -> Bool {
        var secret = [UInt8](repeating: 0, count: Int(CT_TICKET_SECRET))
        return unsafe secret.withUnsafeMutableBytes { bytes in
            guard let start = unsafe bytes.bindMemory(to: UInt8.self).baseAddress else { return false }
            guard unsafe ct_random(start, bytes.count) else { return false }
            unsafe ct_tickets_rotate(start)
            for place in 0..<bytes.count { unsafe bytes[place] = 0 }
            return true
        }
    }
}
