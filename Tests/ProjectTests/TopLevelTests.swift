import Testing

@Test func `the top level holds what belongs there, and dotfiles`() {
    let expected: Set<String> = [
        "Package.swift", "Makefile", "LICENSE", "README.md", "Sources", "Tests", "Benchmarks", "perf",
    ]
    let strange = Checkout.current.topLevel.filter { !$0.hasPrefix(".") && !expected.contains($0) }
    #expect(strange.isEmpty)
}

/// A test that finds no files passes for ever.
@Test func `the checkout is found`() {
    let checkout = Checkout.current
    #expect(checkout.topLevel.contains("Package.swift"))
    #expect(checkout.files.contains { $0.path == "Tests/ProjectTests/TopLevelTests.swift" })
    #expect(checkout.swiftFiles(below: "Sources").count > 50)
    #expect(checkout.children(of: "Sources").contains("Sources/Memory"))
    #expect(!checkout.files.contains { $0.path.hasPrefix(".build") || $0.path.hasPrefix(".git/") })
}

@Test func `a folder of sources or tests has a README that is its map`() {
    let checkout = Checkout.current
    let parents = ["Sources", "Tests", "Tests/Fuzz"].filter { checkout.folders.contains($0) }
    let others = ["perf", "Benchmarks"].filter { checkout.folders.contains($0) }
    for folder in Set(parents + others + parents.flatMap { checkout.children(of: $0) }).sorted() {
        let readme = checkout.files.first { $0.path == folder + "/README.md" }
        guard let readme else {
            Issue.record("\(folder) has no README.md")
            continue
        }
        // More than a title.
        if !readme.text.lines.contains(where: { !$0.isEmpty && !$0.hasPrefix("#") }) {
            Issue.record("\(readme.path) says nothing")
        }
    }
}

/// A map that names what is gone leads astray.
@Test func `the files that a README names exist`() {
    let checkout = Checkout.current
    let names = Set(checkout.files.map(\.name))
    for readme in checkout.files where readme.name == "README.md" {
        for quoted in readme.text.matches(of: /`([^`\s]+)`/).map({ String($0.output.1) }) {
            let name = quoted.split(separator: "/").last.map(String.init) ?? ""
            let isSource = ["swift", "c", "h", "go", "py"].contains { name.hasSuffix("." + $0) }
            guard isSource, !name.contains("*"), !name.contains("…") else { continue }
            // `+Send.swift` is short for one of the names that end so.
            if !names.contains(where: { $0 == name || name.hasPrefix("+") && $0.hasSuffix(name) }) {
                Issue.record("\(readme.path) names \(quoted)")
            }
        }
    }
}

/// The same of functions and states, in the page that leads through the data plane.
@Test func `what the page on states names is in the sources`() throws {
    let checkout = Checkout.current
    let page = try #require(checkout.files.first { $0.path == "Sources/Proxy/LIFECYCLE.md" })
    var words = Set<Substring>()
    for file in checkout.files where file.path.hasPrefix("Sources/Proxy/") || file.path.hasPrefix("Sources/Yamux/") {
        guard file.name.hasSuffix(".swift") else { continue }
        words.formUnion(file.text.matches(of: /\w+/).map(\.output))
    }
    var named = 0
    for quoted in page.text.matches(of: /`([\w.]+)[^`]*`|──(\w+)──/) {
        let name = quoted.output.1 ?? quoted.output.2 ?? ""
        for part in name.split(separator: ".") where !words.contains(part) {
            Issue.record("\(page.path) names \(name)")
        }
        named += 1
    }
    #expect(named > 100)
}
