/// Names in certificates, as they are looked for: lower case, no dot at the end.
enum CertificateName {
    /// The longest name of DNS.
    static var longest: Int { 253 }

    /// Nil for what no client can ask for: something else than a host's name, or a star anywhere but alone in the first
    /// label.
    static func text(of bytes: [UInt8]) -> String? {
        var bytes = bytes.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        guard !bytes.isEmpty, bytes.count <= longest else { return nil }
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        for (place, label) in labels.enumerated() {
            let isStar = place == 0 && labels.count > 1 && label.elementsEqual([UInt8(ascii: "*")])
            guard isStar || isLabel(label) else { return nil }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
        guard !label.isEmpty, label.count <= 63 else { return false }
        return label.allSatisfy { byte in
            let isLetter = byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z")
            let isDigit = byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            return isLetter || isDigit || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
    }
}
