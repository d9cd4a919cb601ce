import Testing

private let manual = "Sources/socketmaster/Manual.docc"

private func page(_ path: String) throws -> String {
    try #require(Checkout.current.files.first { $0.path == path }?.text)
}

// MARK: links

@Test func `a link of a page leads to a page, and to a heading of it`() {
    let checkout = Checkout.current
    let paths = Set(checkout.files.map(\.path) + checkout.folders)
    var links = 0
    for file in checkout.files where file.hasSuffix(in: ["md"]) && !file.isBelow("Benchmarks") {
        for link in file.text.matches(of: /\]\(([^):#]+)(?:#[^)]*)?\)/).map({ String($0.output.1) }) {
            links += 1
            let path = resolve(link, from: file.folder)
            // DocC finds pictures by their names.
            let isPicture = file.folder.hasSuffix(".docc") && paths.contains("\(file.folder)/Resources/\(link).svg")
            if !paths.contains(path), !isPicture { Issue.record("\(file.path) links \(link), which is not there") }
        }
        for link in file.text.matches(of: /<doc:([A-Za-z]+)(?:#([^>]+))?>/) {
            links += 1
            let name = String(link.output.1)
            guard let target = checkout.files.first(where: { $0.path == "\(file.folder)/\(name).md" }) else {
                Issue.record("\(file.path) links \(name), which is no page beside it")
                continue
            }
            guard let heading = link.output.2 else { continue }
            let headings = target.text.lines.filter { $0.hasPrefix("#") }.map { line in
                String(line.drop { $0 == "#" || $0 == " " }.map { $0 == " " ? "-" : $0 })
            }
            if !headings.contains(String(heading)) { Issue.record("\(file.path) links \(name)#\(heading)") }
        }
    }
    #expect(links > 30)
}

@Test func `every page of the manual is in its table of contents`() throws {
    let contents = try page("\(manual)/Manual.md")
    for file in Checkout.current.files where file.isBelow(manual) && file.hasSuffix(in: ["md"]) {
        let name = file.name.dropLast(3)
        if name != "Manual", !contents.contains("- <doc:\(name)>") { Issue.record("\(name) is not in the contents") }
    }
}

private func resolve(_ link: String, from folder: String) -> String {
    var parts = folder.split(separator: "/")
    for part in link.split(separator: "/") where part != "." {
        if part == ".." { parts.removeLast() } else { parts.append(part) }
    }
    return parts.joined(separator: "/")
}

// MARK: exit codes

@Test func `the manual has every exit code, and no other`() throws {
    let sources = try page("Sources/Control/ExitCode.swift")
    let said = Set(sources.matches(of: /case \w+ = (\d+)/).map { String($0.output.1) })
    #expect(said.count > 5)
    #expect(try exitCodes(ofPage: "ExitCodes") == said)
}

/// What a shell shows of a signal is 128 and its number, and therefore not among them.
private func exitCodes(ofPage name: String) throws -> Set<String> {
    var codes: Set<String> = []
    for row in try section("Exit codes", ofPage: name).split(separator: "\n") where row.hasPrefix("| ") {
        codes.formUnion(row.dropFirst(2).prefix { $0 != "|" }.matches(of: /\b\d+\b/).map { String($0.output) })
    }
    return codes.subtracting(["128"])
}

private func section(_ heading: String, ofPage name: String) throws -> Substring {
    let parts = try page("\(manual)/\(name).md").split(separator: "\n## \(heading)\n", maxSplits: 1)
    return try #require(parts.dropFirst().first?.split(separator: "\n## ").first)
}

// MARK: figures

@Test func `the manual has every figure, and no other`() throws {
    let ofPorts = try page("Sources/Control/CounterText.swift").matches(of: /CounterText\(\s*\.\w+, "([^"]+)"/)
    let labels = try #require(
        try page("Sources/Control/ControlThread+Figures.swift").split(separator: "enum FigureLabels").last)
    let ofTheProcess = labels.matches(of: /\(\.\w+, "([^"]+)"\)/)
    let said = Set(ofPorts.map { String($0.output.1) } + ofTheProcess.map { String($0.output.1) })
    var told: Set<String> = []
    for row in try page("\(manual)/Figures.md").lines where row.hasPrefix("| `") {
        told.formUnion(row.matches(of: /`([^`]+)`/).map { String($0.output.1) }.filter { !$0.hasPrefix("--") })
    }
    #expect(said.count > 80)
    #expect(told.subtracting(said) == [], "the program has no such figures")
    #expect(said.subtracting(told) == [], "the manual does not name them")
}

/// What an operator has in front of him is a line of the log, not the label of a figure.
@Test func `the manual has every clause of a line of failures beside its figure, and no other`() throws {
    var source = try page("Sources/Control/CounterText.swift")
    for named in source.matches(of: /let (\w+) = ("[^\n]+")/) {
        source = source.replacing(": \(named.output.1))", with: ": \(named.output.2))")
    }
    let beginnings = source.matches(of: /label: String, ([a-z]+) one: String[^"]+"([^"]+)\\\(one\)"/)
    let section = try #require(
        try page("\(manual)/Troubleshooting.md").split(separator: "\n## Lines that begin with failed on\n").last)
    let lines = section.split(separator: "\n## ")[0].split(separator: "\n")
    let rows = lines.filter { $0.hasPrefix("| `") }.map { words(String($0)) }
    let calls = source.matches(of: /CounterText\(\s*\.\w+, "([^"]+)",\s+(?:(\w+): )?/)
    for call in calls {
        let label = call.output.1
        let beginning = try call.output.2.map { name in
            try #require(beginnings.first { $0.output.1 == name }).output.2
        }
        // The clause for many comes behind the one for one.
        let rest = source[call.range.upperBound...]
        let one = rest[..<(rest.firstMatch(of: /,\s+"/)?.range.lowerBound ?? rest.endIndex)]
        var pieces = literals(inCallAt: one + ")")
        let first = try #require(pieces.first, "\(label)")
        // Labels of requests begin with their status.
        pieces[0] = (beginning ?? "").replacing(#"\(status)"#, with: label.prefix(3)) + first
        let isTold = rows.contains { row in
            row.hasSuffix("| \(label) |") && pieces.allSatisfy { row.contains(words($0)) }
        }
        if !isTold { Issue.record("the manual does not have \"\(pieces[0])\" beside \"\(label)\"") }
    }
    #expect(calls.count > 60)
    #expect(rows.count == calls.count)
}

// MARK: events of the log

/// Texts that begin with something that is computed, and the beginnings that they have.
private let computed = [
    #"\(news.registered)"#: ["registered"],
    #"\(released)"#: ["released"],
    #"\(event): \(session.routeName) for \(session.service): \(why)"#: ["session ended:", "session lost:"],
    #"\(sentence(error))"#: ["all", "new clients wait, the kernel lets none in:"],
    #"\(warning)"#: ["the cgroup allows", "this machine has"],
    #"\(tlsDescription)"#: ["TLS by BoringSSL"],
    #"\(counted(limits.reactors, "reactor"))\(place)\(share ?? "")"#: ["COUNT reactors"],
    #"\(counted(Int(connections), "connection")) cut off, the time to drain is over"#: [
        "COUNT connections cut off, the time to drain is over"
    ],
    #"\(SignalMeaning.name(of: signal)) \(sentence)\(note)"#: [
        "SIGNAL changes nothing yet", "SIGNAL means nothing here",
    ],
    #"descriptors \(budget)"#: ["descriptors at most"],
]

/// Lines that do not go through the logger: where it has no room left, and in a crash.
private let beside: Set<String> = ["COUNT lines left out:", "SIGNAL in thread"]

@Test func `the manual has every event of the log, and no other`() throws {
    let told = try eventsOfTheManual()
    let said = eventsOfTheSources()
    #expect(said.count > 50)
    #expect(told.subtracting(said) == [], "the program does not say so")
    #expect(said.subtracting(told) == [], "the manual does not say so")
}

private func eventsOfTheManual() throws -> Set<String> {
    var events: Set<String> = []
    for row in try page("\(manual)/Log.md").lines where row.hasPrefix("| `") {
        let cell = row.dropFirst(2).prefix { $0 != "|" }
        events.formUnion(cell.matches(of: /`([^`]+)`/).map { beginning(of: String($0.output.1)) })
    }
    return events
}

/// A line up to its first placeholder; where it begins with one, up to the second.
private func beginning(of line: String) -> String {
    let placeholders: Set = [
        "VERSION", "ADDRESS", "COUNT", "RELEASE", "SIZE", "CAUSE", "SIGNAL", "ROUTE", "PEER", "DOMAIN", "NAMES", "TIME",
        "REASON", "FIGURES", "NUMBER", "WHAT",
    ]
    let words = line.split(separator: " ")
    func isPlaceholder(_ word: Substring) -> Bool { placeholders.contains(word.filter { $0.isLetter }) }
    let first = words.prefix(1).filter(isPlaceholder)
    return (first + words.dropFirst(first.count).prefix { !isPlaceholder($0) }).joined(separator: " ")
}

private func eventsOfTheSources() -> Set<String> {
    var events = beside
    var unused = Set(computed.keys)
    for file in Checkout.current.swiftFiles(below: "Sources/Control") {
        for text in textsLogged(in: file.text) {
            if let beginnings = computed[text] {
                events.formUnion(beginnings)
                unused.remove(text)
                continue
            }
            let parts = text.split(separator: #"\("#, maxSplits: 1, omittingEmptySubsequences: false)
            let literal = parts[0].split(separator: " ").joined(separator: " ")
            if literal.isEmpty { Issue.record("\(file.path): nobody has said how this begins: \(text)") }
            events.insert(literal)
        }
    }
    #expect(unused == [], "nobody logs that any more")
    return events
}

/// The texts that are given to the logger.
private func textsLogged(in source: String) -> [String] {
    var texts: [String] = []
    var rest = source[...]
    while let call = rest.firstMatch(of: /log\.(?:trace|debug|info|notice|warning|error|critical)\(\s*/) {
        rest = rest[call.range.upperBound...]
        texts.append(literal(at: rest))
    }
    return texts
}

/// The string literal at the beginning, without its quotes; its interpolations may have literals of their own. Of one
/// with several lines the first is enough.
private func literal(at source: Substring) -> String {
    if source.hasPrefix("\"\"\"") {
        let lines = source.dropFirst(3).split(separator: "\n")
        return lines.first.map { String($0.drop { $0 == " " }) } ?? ""
    }
    var (text, depth, previous) = ("", 0, Character(" "))
    for character in source.dropFirst() {
        if depth == 0, character == "\"" { break }
        if character == "(", depth > 0 || previous == "\\" { depth += 1 }
        if character == ")", depth > 0 { depth -= 1 }
        text.append(character)
        previous = character
    }
    return text
}

// MARK: ends

@Test func `the manual explains every sentence that the program can end with`() throws {
    let told = words(try page("\(manual)/Troubleshooting.md"))
    var said = 0
    for file in Checkout.current.files where file.isBelow("Sources/Control") || file.isBelow("Sources/socketmaster") {
        guard file.hasSuffix(in: ["swift"]) else { continue }
        for call in file.text.matches(of: /(?:StartFailure|UnusableValue|ValidationError)\(/) {
            for literal in literals(inCallAt: file.text[call.range.upperBound...]) {
                said += 1
                if !told.contains(words(literal)), !ofHiddenFlags.contains(literal) {
                    Issue.record("\(file.path): the manual does not have \"\(literal)\"")
                }
            }
        }
    }
    #expect(said > 60)
}

/// Flags of the tests are in no manual.
private let ofHiddenFlags = ["the ids of streams that we open are odd, from 1 to "]

/// What stands in a table may be quoted, and broken into lines anywhere.
private func words(_ text: String) -> String {
    text.replacing("\\\"", with: "\"").filter { $0 != "`" }.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
}

/// The literals among the arguments of a call, in pieces where something is inserted. Pieces of fewer than three words
/// say nothing.
private func literals(inCallAt source: Substring) -> [String] {
    var pieces: [String] = []
    var (piece, depth, insertions) = ("", 1, [Int]())
    var (isLiteral, previous) = (false, Character(" "))
    for character in source {
        switch character {
        case "\"" where previous != "\\":
            if isLiteral { pieces.append(piece) }
            isLiteral.toggle()
            piece = ""
        case "(" where isLiteral && previous == "\\":
            pieces.append(String(piece.dropLast()))
            insertions.append(depth)
            isLiteral = false
        case "(" where !isLiteral: depth += 1
        case ")" where !isLiteral && insertions.last == depth:
            insertions.removeLast()
            (isLiteral, piece) = (true, "")
        case ")" where !isLiteral:
            depth -= 1
            if depth == 0 { return pieces.filter { $0.split(separator: " ").count > 2 } }
        default: if isLiteral { piece.append(character) }
        }
        previous = character
    }
    return []
}

// MARK: socketmaster-publish

private let publish = "Sources/socketmaster-publish"

@Test func `the page of socketmaster-publish has every flag, and no other`() throws {
    let said = try flags(of: "\(publish)/Flags.swift").union(["--version", "--help"])
    var told: Set<String> = []
    for row in try section("Flags", ofPage: "Publishing").split(separator: "\n") where row.hasPrefix("| `--") {
        told.formUnion(flags(namedIn: row.dropFirst(2).prefix { $0 != "|" }))
    }
    #expect(said.count > 15)
    #expect(told == said)
    // In other places it speaks of the proxy's as well.
    let known = said.union(try flags(of: "Sources/socketmaster/Flags.swift"))
    #expect(flags(namedIn: try page("\(manual)/Publishing.md")[...]).subtracting(known) == [])
}

/// The flags that are declared, which have the names of their properties in the parser's spelling.
private func flags(of path: String) throws -> Set<String> {
    let declarations = try page(path).split(separator: /@(?:Option|Flag)\(/).dropFirst()
    return Set(
        declarations.compactMap { $0.firstMatch(of: /\n    var (\w+)/)?.output.1 }.map { name in
            "--" + name.map { $0.isUppercase ? "-" + $0.lowercased() : String($0) }.joined()
        })
}

private func flags(namedIn text: Substring) -> Set<String> {
    Set(text.matches(of: /--[a-z][a-z-]*/).map { String($0.output) })
}

@Test func `the page of socketmaster-publish has every exit code, and no other`() throws {
    // sysexits.h has them in this order, from 64 on.
    let names = [
        "USAGE", "DATAERR", "NOINPUT", "NOUSER", "NOHOST", "UNAVAILABLE", "SOFTWARE", "OSERR", "OSFILE", "CANTCREAT",
        "IOERR", "TEMPFAIL", "PROTOCOL", "NOPERM", "CONFIG",
    ]
    var said: Set = ["0"]
    for file in Checkout.current.swiftFiles(below: publish) {
        for name in file.text.matches(of: /\bEX_([A-Z]+)/).map(\.output.1) {
            said.insert("\(64 + (try #require(names.firstIndex(of: String(name)), "EX_\(name)")))")
        }
        for codes in file.text.matches(of: /== ENOENT \? (\d+) : (\d+)/) {
            said.formUnion([String(codes.output.1), String(codes.output.2)])
        }
    }
    #expect(said.count > 6)
    #expect(try exitCodes(ofPage: "Publishing") == said)
}

/// Those of the library reach its log too. What is below `info` has to be asked for.
@Test func `the page of socketmaster-publish has every line of its log`() throws {
    let told = try quotedInPublishing()
    var said = 0
    let checkout = Checkout.current
    for file in checkout.swiftFiles(below: publish) + checkout.swiftFiles(below: "Sources/SocketMaster") {
        let source = file.text.replacing(/log\.(?:trace|debug)\(/, with: "(")
            .replacing(/log\.log\(\s*level: [^"]+/, with: "log.info(")
        for text in textsLogged(in: source) {
            said += 1
            let pieces = text.split(separator: /\\\((?:[^()]|\([^()]*\))*\)/, omittingEmptySubsequences: false)
            let isTold = told.contains { line in
                line.hasPrefix(pieces[0]) && line.hasSuffix(pieces[pieces.count - 1])
                    && has(line, pieces.map { String($0) })
            }
            if !isTold { Issue.record("\(file.path): Publishing does not have \"\(text)\"") }
        }
    }
    #expect(said > 12)
}

@Test func `the page of socketmaster-publish explains every sentence that it can end with`() throws {
    var sentences: [[String]] = []
    for file in Checkout.current.swiftFiles(below: publish) {
        sentences += pieces(ofSentencesIn: file.text, behind: /(?:Failure|ValidationError|fail)\(|return (?=")/)
    }
    // Those of the library that it passes on.
    let library = try page("Sources/SocketMaster/SocketMasterError.swift")
    sentences += pieces(
        ofSentencesIn: library, behind: /Self\(\s*\.(?:refused|unreachable|notUnderstood|clientAddressUnknown),/)
    let told = try quotedInPublishing()
    for sentence in sentences where !told.contains(where: { has($0, sentence) }) {
        Issue.record("Publishing does not have \(sentence)")
    }
    #expect(sentences.count > 20)
}

/// Of each sentence the pieces between which something is inserted.
private func pieces(ofSentencesIn source: String, behind beginning: some RegexComponent) -> [[String]] {
    source.matches(of: beginning).map { match in
        let rest = source[match.range.upperBound...]
        // A sentence that is returned ends with its function.
        let end = rest.firstRange(of: "\n    }")?.lowerBound ?? rest.endIndex
        return literals(inCallAt: rest[..<end] + ")").map(words)
    }.filter { !$0.isEmpty }
}

/// What stands as code in the first cells of the tables.
private func quotedInPublishing() throws -> [String] {
    try page("\(manual)/Publishing.md").lines.filter { $0.hasPrefix("| `") }.flatMap { row in
        row.dropFirst(2).prefix { $0 != "|" }.matches(of: /`([^`]+)`/).map { String($0.output.1) }
    }
}

/// Whether a text has these pieces one behind the other, whatever is between them.
private func has(_ text: String, _ pieces: [String]) -> Bool {
    var rest = text[...]
    for piece in pieces where !piece.isEmpty {
        guard let range = rest.firstRange(of: piece) else { return false }
        rest = rest[range.upperBound...]
    }
    return true
}
