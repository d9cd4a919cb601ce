/// Source text without its comments and strings: what is left are words, signs and braces, in the same lines.
///
/// It knows as much of Swift and C as finding functions takes, and no more: what an interpolation holds counts as
/// string.
struct SourceText {
    enum Language {
        case swift
        case c
    }

    struct Function {
        /// From 1.
        let line: Int
        let lineCount: Int
    }

    let language: Language
    let lines: [String]

    init(_ text: String, _ language: Language) {
        self.language = language
        var scanner = Scanner(bytes: Array(text.utf8), language: language)
        lines = scanner.code().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// Every function that is not within another one, from its first line to its last.
    var functions: [Function] {
        var functions: [Function] = []
        var start: Int?
        var startDepth = 0
        var hasBody = false
        var depth = 0
        for (number, line) in lines.enumerated() {
            if start == nil, isDeclaration(line, depth: depth) {
                start = number
                startDepth = depth
                hasBody = false
            } else if start != nil, !hasBody, isDeclaration(line, depth: depth) {
                // The last one was a requirement of a protocol.
                start = number
            }
            for character in line.utf8 {
                if character == UInt8(ascii: "{") {
                    depth += 1
                    hasBody = true
                } else if character == UInt8(ascii: "}") {
                    depth -= 1
                    // It was a requirement, and its protocol ends.
                    if !hasBody, depth < startDepth { start = nil }
                }
            }
            if let first = start, hasBody, depth <= startDepth {
                functions.append(Function(line: first + 1, lineCount: number - first + 1))
                start = nil
            }
        }
        return functions
    }

    private func isDeclaration(_ line: String, depth: Int) -> Bool {
        switch language {
        case .c:
            // At the outermost level, with parameters: neither a struct nor a table.
            return depth == 0 && line.contains("(") && line.first?.isLetter == true
        case .swift:
            let words = line.split { !($0.isLetter || $0.isNumber || $0 == "_") }
            guard let first = words.first(where: { !Self.modifiers.contains(String($0)) }) else { return false }
            return first == "func" || first == "init" || first == "deinit" || first == "subscript"
        }
    }

    private static let modifiers: Set<String> = [
        "public", "internal", "private", "fileprivate", "package", "static", "mutating", "nonmutating", "borrowing",
        "consuming", "final", "override", "required", "convenience", "inlinable", "usableFromInline", "inline", "never",
        "__always", "_noLocks", "discardableResult", "safe", "unsafe", "nonisolated", "indirect", "prefix", "Test",
    ]
}

private struct Scanner {
    let bytes: [UInt8]
    let language: SourceText.Language
    var position = 0
    var result: [UInt8] = []

    init(bytes: [UInt8], language: SourceText.Language) {
        self.bytes = bytes
        self.language = language
    }

    mutating func code() -> String {
        while position < bytes.count {
            if starts(with: "//") {
                skip(until: "\n", including: false)
            } else if starts(with: "/*") {
                skipBlockComment()
            } else if language == .swift, starts(with: "\"\"\"") {
                position += 3
                skip(until: "\"\"\"", including: true)
            } else if bytes[position] == UInt8(ascii: "\"") {
                skipString(end: UInt8(ascii: "\""))
            } else if language == .c, bytes[position] == UInt8(ascii: "'") {
                skipString(end: UInt8(ascii: "'"))
            } else {
                result.append(bytes[position])
                position += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

    private mutating func skip(until text: String, including: Bool) {
        while position < bytes.count, !starts(with: text) { step() }
        if including { position = min(position + text.utf8.count, bytes.count) }
    }

    private mutating func skipBlockComment() {
        var depth = 0
        repeat {
            if starts(with: "/*") {
                depth += language == .swift ? 1 : depth == 0 ? 1 : 0
                position += 2
            } else if starts(with: "*/") {
                depth -= 1
                position += 2
            } else {
                step()
            }
        } while depth > 0 && position < bytes.count
    }

    private mutating func skipString(end: UInt8) {
        position += 1
        while position < bytes.count, bytes[position] != end, bytes[position] != UInt8(ascii: "\n") {
            if starts(with: "\\(") {
                skipInterpolation()
            } else {
                position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
            }
        }
        if position < bytes.count, bytes[position] == end { position += 1 }
    }

    /// Up to the parenthesis that closes it; strings within are skipped as such.
    private mutating func skipInterpolation() {
        position += 2
        var depth = 1
        while position < bytes.count, depth > 0, bytes[position] != UInt8(ascii: "\n") {
            switch bytes[position] {
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"): depth -= 1
            case UInt8(ascii: "\""):
                skipString(end: UInt8(ascii: "\""))
                continue
            default: break
            }
            position += 1
        }
    }

    /// Lines stay lines.
    private mutating func step() {
        if bytes[position] == UInt8(ascii: "\n") { result.append(bytes[position]) }
        position += 1
    }
}
