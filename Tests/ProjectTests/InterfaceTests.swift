import Testing

/// What users of the client library can name, line by line, is kept in a file. A change of it is seen in a review, and
/// belongs into the changelog.
@Test func `the public interface of the client library is the one that is written down`() throws {
    var declarations: [String] = []
    for target in ["SocketMaster", "SocketMasterHummingbird"] {
        for file in Checkout.current.swiftFiles(below: "Sources/" + target) {
            declarations += publicDeclarations(in: file.text).map { "\(target): \($0)" }
        }
    }
    let kept = try #require(Checkout.current.files.first { $0.path == "Tests/ProjectTests/SocketMaster.api" })
    let agreed = kept.text.lines.filter { !$0.isEmpty && !$0.hasPrefix("#") }.map(String.init)
    #expect(declarations.count > 60)
    for change in declarations.sorted().difference(from: agreed.sorted()) {
        switch change {
        case .insert(_, let line, _): Issue.record("not written down: \(line)")
        case .remove(_, let line, _): Issue.record("no longer there: \(line)")
        }
    }
}

/// Declarations with everything that is in front of their bodies, each in one line behind the type that it is in.
/// Extensions are not public themselves; their conformances are kept, too, if what they extend is public.
private func publicDeclarations(in source: String) -> [String] {
    var found: [String] = []
    var open: [(type: String, depth: Int)] = []
    var depth = 0
    let lines = SourceText(source, .swift).lines
    for (number, line) in lines.enumerated() {
        let words = line.split { $0 == " " }.map(String.init)
        let isPublic = words.prefix(4).contains("public") && !words.contains("import")
        let type = words.firstIndex { ["struct", "class", "enum", "actor", "protocol", "extension"].contains($0) }
            .flatMap {
                words.indices.contains($0 + 1) ? String(words[$0 + 1].prefix { $0.isLetter || $0 == "." }) : nil
            }
        if isPublic || words.first == "extension" && line.contains(": ") {
            let place = open.map(\.type).joined(separator: ".")
            found.append((place.isEmpty ? "" : place + ": ") + head(of: lines[number...]))
        }
        if let type, line.contains("{"), !words.contains("func") { open.append((type, depth)) }
        depth += line.count { $0 == "{" } - line.count { $0 == "}" }
        while let last = open.last, depth <= last.depth { open.removeLast() }
    }
    let types = found.compactMap { $0.firstMatch(of: /^public \w+ (\w+)/).map { String($0.output.1) } } + known
    return found.filter { line in
        line.firstMatch(of: /^extension (\w+)/).map { types.contains(String($0.output.1)) } ?? true
    }
}

/// Of other modules, or declared in another file than what extends them.
private let known = ["SocketMasterService"]

private func head(of lines: ArraySlice<String>) -> String {
    var depth = 0
    let text = lines.joined(separator: "\n").prefix { character in
        if "([".contains(character) { depth += 1 }
        if ")]".contains(character) { depth -= 1 }
        return !(character == "{" || character == "\n" && depth <= 0)
    }
    return text.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
}
