import Testing

/// What users of the client library can name, line by line, is kept in a file. A change of it is seen in a review, and
/// belongs into the changelog.
@Test func `the public interface of the client library is the one that is written down`() throws {
    var declarations: [String] = []
    for target in ["SocketMaster", "SocketMasterHummingbird"] {
        for file in Checkout.current.swiftFiles(below: "Sources/" + target) {
            declarations += publicDeclarations(in: file.text).map { "\(target)/\(file.name): \($0)" }
        }
    }
    // An extension says nothing to users if what it extends is none of theirs.
    let types = Set(declarations.compactMap { $0.firstMatch(of: /public struct (\w+)/).map { String($0.output.1) } })
    declarations.removeAll { declaration in
        guard let extended = declaration.firstMatch(of: /: extension (\w+)/) else { return false }
        return !types.contains(String(extended.output.1))
    }
    let kept = try #require(Checkout.current.files.first { $0.path == "Tests/ProjectTests/SocketMaster.api" })
    let agreed = kept.text.lines.filter { !$0.isEmpty && !$0.hasPrefix("#") }.map(String.init)
    #expect(declarations.count > 60)
    for line in Set(declarations).subtracting(agreed).sorted() { Issue.record("not written down: \(line)") }
    for line in Set(agreed).subtracting(declarations).sorted() { Issue.record("no longer there: \(line)") }
}

/// Declarations with everything that is in front of their bodies, each in one line. Extensions are not public
/// themselves; their conformances are kept, too.
private func publicDeclarations(in source: String) -> [String] {
    let code = SourceText(source, .swift).lines.joined(separator: "\n")
    var found: [String] = []
    for match in code.matches(of: /(?m)^ *(?:@\w+(?:\([^)]*\))? )*public (?!import)|^extension [^{]*: [^{]*/) {
        let rest = code[match.range.lowerBound...]
        var depth = 0
        let declaration = rest.prefix { character in
            if "([".contains(character) { depth += 1 }
            if ")]".contains(character) { depth -= 1 }
            return !(character == "{" || character == "\n" && depth <= 0)
        }
        found.append(declaration.split { $0 == " " || $0 == "\n" }.joined(separator: " "))
    }
    return found
}
