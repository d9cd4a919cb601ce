/// JSON by the letter (RFC 8259): anything else is nil.
enum JSON: Equatable {
    case null
    case flag(Bool)
    case number(Double)
    case text(String)
    case array([JSON])
    case object([String: JSON])

    init?(_ bytes: [UInt8]) {
        var reader = Reader(bytes: bytes)
        guard String(validating: bytes, as: UTF8.self) != nil, let value = reader.value(), reader.isAtEnd else {
            return nil
        }
        self = value
    }

    subscript(name: String) -> JSON? {
        if case .object(let members) = self { members[name] } else { nil }
    }

    subscript(place: Int) -> JSON? {
        if case .array(let elements) = self, elements.indices.contains(place) { elements[place] } else { nil }
    }

    var elements: [JSON] { if case .array(let elements) = self { elements } else { [] } }

    var names: Set<String> { if case .object(let members) = self { Set(members.keys) } else { [] } }
}

private struct Reader {
    let bytes: [UInt8]
    var place = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { place == bytes.count }
    var next: UInt8? { isAtEnd ? nil : bytes[place] }

    mutating func takes(_ text: StaticString) -> Bool {
        let wanted = Array(text.description.utf8)
        guard bytes[place...].starts(with: wanted) else { return false }
        place += wanted.count
        return true
    }

    mutating func value() -> JSON? {
        if takes("null") { return .null }
        if takes("true") { return .flag(true) }
        if takes("false") { return .flag(false) }
        if takes("\"") { return text().map { .text($0) } }
        if takes("[") { return array() }
        if takes("{") { return object() }
        return number()
    }

    private mutating func array() -> JSON? {
        var elements: [JSON] = []
        if takes("]") { return .array([]) }
        repeat {
            guard let element = value() else { return nil }
            elements.append(element)
        } while takes(",")
        return takes("]") ? .array(elements) : nil
    }

    private mutating func object() -> JSON? {
        var members: [String: JSON] = [:]
        if takes("}") { return .object([:]) }
        repeat {
            guard takes("\""), let name = text(), takes(":"), let value = value() else { return nil }
            guard members.updateValue(value, forKey: name) == nil else { return nil }
        } while takes(",")
        return takes("}") ? .object(members) : nil
    }

    private mutating func number() -> JSON? {
        let digits = bytes[place...].prefix { byte in
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || "+-.eE".utf8.contains(byte)
        }
        place += digits.count
        let text = String(decoding: digits, as: UTF8.self)
        guard text.wholeMatch(of: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/) != nil else { return nil }
        return Double(text).map { .number($0) }
    }

    private mutating func text() -> String? {
        var scalars = String.UnicodeScalarView()
        var plain: [UInt8] = []
        while let byte = next {
            place += 1
            if byte == UInt8(ascii: "\""), plain.isEmpty { return String(scalars) }
            if byte == UInt8(ascii: "\"") {
                scalars.append(contentsOf: String(decoding: plain, as: UTF8.self).unicodeScalars)
                return String(scalars)
            }
            guard byte >= 0x20 else { return nil }
            guard byte == UInt8(ascii: "\\") else {
                plain.append(byte)
                continue
            }
            scalars.append(contentsOf: String(decoding: plain, as: UTF8.self).unicodeScalars)
            plain = []
            guard let scalar = escaped() else { return nil }
            scalars.append(scalar)
        }
        return nil
    }

    private mutating func escaped() -> Unicode.Scalar? {
        guard let byte = next else { return nil }
        place += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let digits = String(decoding: bytes[place...].prefix(4), as: UTF8.self)
            place += 4
            return UInt32(digits, radix: 16).flatMap { Unicode.Scalar($0) }
        default: return nil
        }
    }
}
