internal import CTLS

/// Digests by BoringSSL. It reads the bytes where they lie and writes a text whose length is fixed; neither is kept.
public enum Digest {
    /// SHA-256 in base64, as policies of pages have it.
    public static func sha256(_ bytes: some Sequence<UInt8>) -> String {
        let bytes = Array(bytes)
        var text = [CChar](repeating: 0, count: Int(CT_SHA256_TEXT))
        unsafe ct_sha256_base64(bytes, bytes.count, &text)
        return String(decoding: text.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
