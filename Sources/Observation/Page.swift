internal import NIOCore
internal import TLS

/// The page: one file with its style and its script. A browser runs no others, and sends nothing elsewhere.
struct Page {
    let html: ByteBuffer
    /// The Content-Security-Policy that names style and script by their digests.
    let policy: String

    /// The page that the program brings along.
    init() { self.init(html: PackageResources.page_html) }

    init(html: [UInt8]) {
        self.html = ByteBuffer(bytes: html)
        let text = String(decoding: html, as: UTF8.self)
        let sources = ["style", "script"].map { element in
            let contents = Self.contents(of: element, in: text)
            return "\(element)-src \(contents.map { "'sha256-\(Digest.sha256($0.utf8))'" } ?? "'none'"); "
        }
        policy =
            "default-src 'none'; \(sources.joined())connect-src 'self'; img-src data:; frame-ancestors 'none'; "
            + "base-uri 'none'; form-action 'none'"
    }

    /// What stands within the one element of that name, to the byte: that is what a browser takes the digest of.
    private static func contents(of element: String, in text: String) -> Substring? {
        guard let begin = text.firstRange(of: "<\(element)>") else { return nil }
        let rest = text[begin.upperBound...]
        return rest.firstRange(of: "</\(element)>").map { rest[..<$0.lowerBound] }
    }
}
