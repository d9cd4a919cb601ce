/// What services call themselves, as the value of a label: they may say anything, of any length.
enum LabelText {
    /// Bytes of a value at most, before the mark that it was cut.
    static let limit = 128

    /// The text as people can read it, on one line: what cannot be seen are bytes, `\x1b`. A long one is cut, and told
    /// from others that begin like it by a digest of the whole.
    static func shown(_ text: String) -> String {
        var shown = ""
        var count = 0
        for scalar in text.unicodeScalars {
            let piece = scalar.isShown ? String(scalar) : escaped(scalar)
            count += piece.utf8.count
            guard count <= limit else { return shown + "…" + digest(text) }
            shown += piece
        }
        return shown
    }

    /// Between the quotes of an exposition. Both formats have the same three escapes.
    static func quoted(_ text: String) -> String {
        var quoted = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": quoted += "\\\\"
            case "\"": quoted += "\\\""
            case "\n": quoted += "\\n"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        String(scalar).utf8.map { byte in (byte < 16 ? "\\x0" : "\\x") + String(byte, radix: 16) }.joined()
    }

    /// FNV-1a. Somebody may look for two texts with the same one, so it does not make labels unique.
    private static func digest(_ text: String) -> String {
        let hash = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { hash, byte in
            (hash ^ UInt64(byte)) &* 0x100_0000_01B3
        }
        let digits = String(UInt32(truncatingIfNeeded: hash ^ hash >> 32), radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}

extension Unicode.Scalar {
    /// Letters, digits, signs, and the common space: nothing that is not seen, or that turns text round.
    fileprivate var isShown: Bool {
        if isASCII { return (0x20..<0x7F).contains(value) }
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark,
            .spacingMark, .enclosingMark, .decimalNumber, .letterNumber, .otherNumber, .connectorPunctuation,
            .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
            .otherPunctuation, .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol:
            return true
        case .spaceSeparator, .lineSeparator, .paragraphSeparator, .control, .format, .surrogate, .privateUse,
            .unassigned:
            return false
        @unknown default: return false
        }
    }
}

/// Gives each its own text, in their order: of equal ones the later get a number.
struct UniqueTexts {
    private var taken: Set<String> = []

    /// - Parameter make: the text, with something at its end.
    mutating func take(_ make: (_ suffix: String) -> String) -> String {
        var text = make("")
        var number = 2
        while !taken.insert(text).inserted {
            text = make("~\(number)")
            number += 1
        }
        return text
    }
}
