/// A number of bytes as flags write it: a whole number, and `k`, `m` or `g` for powers of 1024.
public struct ByteCount: Hashable, Sendable {
    public let bytes: Int

    public init(bytes: Int) {
        self.bytes = bytes
    }

    /// - Throws: a sentence, for whatever has a sign, a fraction, another unit, or is not less than 2^63.
    public init(parsing text: String) throws(UnusableValue) {
        let (digits, unit) = splitNumber(text)
        guard let factor = Self.factor(of: unit), !digits.isEmpty else {
            throw UnusableValue("a size is a whole number of bytes, or one with a unit: 64k, 1m or 2g")
        }
        guard let number = Int(digits), case let (value, isTooLarge) = number.multipliedReportingOverflow(by: factor),
            !isTooLarge
        else {
            throw UnusableValue("no machine has that many bytes; give a smaller size")
        }
        bytes = value
    }

    private static func factor(of unit: Substring) -> Int? {
        switch unit {
        case "": 1
        case "k", "K": 1 << 10
        case "m", "M": 1 << 20
        case "g", "G": 1 << 30
        default: nil
        }
    }
}

extension ByteCount: CustomStringConvertible {
    /// In the largest unit that leaves no fraction, so that it can be given as a flag again.
    public var description: String {
        for (name, factor) in [("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)] where bytes >= factor {
            if bytes % factor == 0 { return "\(bytes / factor)\(name)" }
        }
        return "\(bytes)"
    }

    /// For people: rounded to three digits or so.
    var rounded: String {
        for (name, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes >= factor {
            let tenths = bytes / factor * 10 + bytes % factor * 10 / factor
            return tenths >= 1_000 ? "\(tenths / 10) \(name)" : "\(tenths / 10).\(tenths % 10) \(name)"
        }
        return "\(bytes) bytes"
    }
}
