internal import NIOCore

/// Writes JSON (RFC 8259), without spaces. Objects and arrays are closed where they are opened.
struct JSONWriter {
    /// Whole numbers from here on are not exact for whoever reads them as a double.
    static let greatestNumber: UInt64 = 1 << 53

    private(set) var buffer = ByteBuffer()
    private var isFirst = true

    mutating func object(_ name: String? = nil, _ fill: (inout JSONWriter) -> Void) { nest(name, "{", "}", fill) }

    mutating func array(_ name: String? = nil, _ fill: (inout JSONWriter) -> Void) { nest(name, "[", "]", fill) }

    mutating func array<Element>(
        _ name: String, _ elements: some Sequence<Element>, _ write: (inout JSONWriter, Element) -> Void
    ) {
        array(name) { writer in
            for element in elements { write(&writer, element) }
        }
    }

    // Members of objects.

    mutating func text(_ name: String, _ value: String) { member(name) { $0.quote(value) } }

    mutating func number(_ name: String, _ value: UInt64) { member(name) { $0.write(value) } }

    mutating func number(_ name: String, _ value: Int) { number(name, UInt64(clamping: value)) }

    mutating func number(_ name: String, _ value: Double) { member(name) { $0.write(value) } }

    mutating func flag(_ name: String, _ value: Bool) { member(name) { $0.buffer.writeString("\(value)") } }

    // Elements of arrays.

    mutating func text(_ value: String) { member(nil) { $0.quote(value) } }

    mutating func number(_ value: UInt64) { member(nil) { $0.write(value) } }

    mutating func number(_ value: Double) { member(nil) { $0.write(value) } }

    private mutating func nest(_ name: String?, _ open: String, _ close: String, _ fill: (inout JSONWriter) -> Void) {
        member(name) { writer in
            writer.buffer.writeString(open)
            writer.isFirst = true
            fill(&writer)
            writer.isFirst = false
            writer.buffer.writeString(close)
        }
    }

    /// - Parameter name: nil in an array.
    private mutating func member(_ name: String?, _ write: (inout JSONWriter) -> Void) {
        if !isFirst { buffer.writeString(",") }
        isFirst = false
        if let name {
            quote(name)
            buffer.writeString(":")
        }
        write(&self)
    }

    private mutating func write(_ value: UInt64) { buffer.writeString("\(min(value, Self.greatestNumber))") }

    /// There is no JSON for what is no number: 0 stands for it.
    private mutating func write(_ value: Double) { buffer.writeString(value.isFinite ? "\(value)" : "0") }

    /// Line ends of JavaScript are escaped, too: they must not end a line of an event.
    private mutating func quote(_ text: String) {
        buffer.writeString("\"")
        if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") })
        {
            buffer.writeString(text)
        } else {
            for scalar in text.unicodeScalars { write(scalar) }
        }
        buffer.writeString("\"")
    }

    private mutating func write(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "\"": buffer.writeString("\\\"")
        case "\\": buffer.writeString("\\\\")
        case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
            let digits = String(scalar.value, radix: 16)
            buffer.writeString("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
        default: buffer.writeString(String(scalar))
        }
    }
}
