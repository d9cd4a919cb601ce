import Testing

/// Targets that registrations pass through.
private let targets = ["Registration", "SocketMaster", "SocketMasterHummingbird", "socketmaster-publish", "Control"]

/// The tests that look at what holders of secrets show, type by type. What is in no library is run instead, and all
/// that it writes is searched: `secrets_test.go`, `hummingbird_test.go`.
private let lookedAt = ["Tests/SocketMasterTests/SecretTests.swift", "Tests/ControlTests/SecretTests.swift"]
private let run: Set<String> = ["SocketMasterHummingbird", "socketmaster-publish"]
/// Nobody shows a thread, and what it holds is looked at.
private let shownByNobody: Set<String> = ["ControlThread"]

private let sources = targets.flatMap { target in
    Checkout.current.swiftFiles(below: "Sources/" + target).map { file in
        (target: target, path: file.path, lines: SourceText(file.text, .swift).lines)
    }
}

/// A type with what its stored properties and cases are made of.
private struct Holder {
    let target: String
    /// With the types that it lies in.
    let name: String
    var parts: Set<String> = []

    /// Whether a type that is named so in here may be that one.
    func refers(to other: String) -> Bool {
        if parts.contains(other) { return true }
        guard let dot = other.lastIndex(of: ".") else { return false }
        let outer = other[..<dot]
        let isWithin = name == outer || name.hasPrefix(outer + ".")
        return isWithin && parts.contains(String(other[other.index(after: dot)...]))
    }
}

/// The types of a file. It knows as much of Swift as our sources have.
private func types(in lines: [String], of target: String) -> [Holder] {
    var found: [Holder] = []
    var open: [(name: String, depth: Int)] = []
    var depth = 0
    for line in lines {
        let words = line.split { !($0.isLetter || $0.isNumber || "_.".contains($0)) }.map(String.init)
        if let kind = words.firstIndex(where: { ["struct", "class", "enum", "actor", "extension"].contains($0) }),
            words.count > kind + 1, words[kind + 1] != "func", line.contains("{")
        {
            let name = ((open.last.map { [$0.name] } ?? []) + [words[kind + 1]]).joined(separator: ".")
            open.append((name, depth))
            if !found.contains(where: { $0.name == name }) { found.append(Holder(target: target, name: name)) }
        } else if let type = open.last, depth == type.depth + 1, isStored(words, line) {
            let index = found.firstIndex { $0.name == type.name }
            if let index { found[index].parts.formUnion(words.flatMap(names)) }
        }
        depth += line.count { $0 == "{" } - line.count { $0 == "}" }
        while let last = open.last, depth <= last.depth { open.removeLast() }
    }
    return found
}

/// `State.needsMore` may be a type within another one, or a value of a type.
private func names(_ word: String) -> [String] {
    let parts = word.split(separator: ".")
    return (1...max(parts.count, 1)).map { parts.prefix($0).joined(separator: ".") }
}

private func isStored(_ words: [String], _ line: String) -> Bool {
    if words.first == "case" { return line.contains("(") }
    guard words.contains("let") || words.contains("var"), !words.contains("static"), !words.contains("func") else {
        return false
    }
    return !line.contains("{") || line.contains("=")
}

private func holders(of secret: String) -> [Holder] {
    let all = sources.flatMap { types(in: $0.lines, of: $0.target) }
    var names: Set<String> = [secret]
    while true {
        let more = all.filter { type in !names.contains(type.name) && names.contains { type.refers(to: $0) } }
        guard !more.isEmpty else { return all.filter { names.contains($0.name) } }
        names.formUnion(more.map { $0.name })
    }
}

@Test func `what each type that holds a secret shows is looked at`() {
    let tests = lookedAt.map { path in Checkout.current.files.first { $0.path == path }?.text ?? "" }.joined()
    let holders = holders(of: "SecretBytes")
    #expect(holders.contains { $0.name == "PendingRegistration" } && holders.contains { $0.name == "Publication" })
    for holder in holders where !run.contains(holder.target) && !shownByNobody.contains(holder.name) {
        let isLookedAt = tests.contains("\"\(holder.name)\":")
        #expect(isLookedAt, "\(holder.target): \(holder.name) in none of \(lookedAt)")
    }
}

/// What is called like a secret is kept as one.
@Test func `no key is stored as plain bytes or as a text`() {
    let secret: Set<String> = ["key", "privateKey", "secret", "token", "password", "passphrase", "pem", "registration"]
    let plain: Set<String> = ["UInt8", "String", "ByteBuffer", "Substring"]
    // Names of files.
    let allowed: Set<String> = ["Sources/socketmaster-publish/Flags.swift"]
    for file in sources where !allowed.contains(file.path) {
        for (number, line) in file.lines.enumerated() where !line.contains("{") {
            let words = line.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init)
            guard let place = words.firstIndex(where: { $0 == "let" || $0 == "var" }), words.count > place + 2 else {
                continue
            }
            let isPlain = secret.contains(words[place + 1]) && plain.contains(words[place + 2])
            #expect(!isPlain, "\(file.path):\(number + 1) holds a secret that describes itself")
        }
    }
}
