internal import CTLS

/// BoringSSL's words. The buffer is Swift's, has the length that is said with it, and is not kept by the other side.
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
}
