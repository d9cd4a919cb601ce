import Testing

private let columns = 120
private let fileLines = 800
private let functionLines = 70

private var sources: [Checkout.File] {
    Checkout.current.files.filter { file in
        (["Sources", "Tests", "Benchmarks"].contains { file.isBelow($0) } || file.path == "Package.swift")
            && file.hasSuffix(in: ["swift", "c", "h"])
    }
}

@Test func `lines are no longer than 120 columns`() {
    for file in sources {
        for (number, line) in file.text.lines.enumerated() where line.utf8.count > columns && line.count > columns {
            Issue.record("\(file.path):\(number + 1) has \(line.count) columns")
        }
    }
}

@Test func `files are no longer than 800 lines`() {
    for file in sources { #expect(file.text.lines.count <= fileLines, "\(file.path)") }
}

@Test func `text has no tabs, no spaces at the ends of lines, and ends with a line`() {
    for file in sources {
        let text = file.text
        #expect(text.hasSuffix("\n") && !text.hasSuffix("\n\n"), "\(file.path)")
        for (number, line) in text.lines.enumerated() where line.contains("\t") || line.hasSuffix(" ") {
            Issue.record("\(file.path):\(number + 1)")
        }
    }
}

@Test func `functions are no longer than 70 lines`() {
    for file in sources where !file.isBelow("Tests") {
        let text = SourceText(file.text, file.path.hasSuffix(".swift") ? .swift : .c)
        for function in text.functions where function.lineCount > functionLines {
            Issue.record("\(file.path):\(function.line) has \(function.lineCount) lines")
        }
    }
}

@Test func `functions are counted from their first line to their last`() {
    let swift = SourceText(
        """
        protocol P {
            func required()
            func alsoRequired(_ brace: Character)
        }
        struct S {
            var computed: Int { 1 }
            @inlinable public mutating func first(
                _ text: String
            ) -> Int {
                // A brace that is none: }
                if text == "}\\(text + "}")" { return 1 }
                func inner() {}
                /* } */
                return 2
            }
            init() {}
        }
        """,
        .swift
    )
    #expect(swift.functions.map(\.line) == [7, 16])
    #expect(swift.functions.map(\.lineCount) == [9, 1])
    let c = SourceText(
        """
        struct point { int x; };
        static const int table[] = {1, 2};
        static int short_one(void) { return '}'; }
        int long_one(int a,
                     int b) {
            if (a) { b = 1; }
            return b; // }
        }
        """,
        .c
    )
    #expect(c.functions.map(\.line) == [3, 4])
    #expect(c.functions.map(\.lineCount) == [1, 5])
}

/// Everything is found, or the rule above holds by accident.
@Test func `the functions of the sources are found`() {
    let texts = sources.filter { $0.isBelow("Sources") }.map {
        SourceText($0.text, $0.path.hasSuffix(".swift") ? .swift : .c)
    }
    #expect(texts.reduce(0) { $0 + $1.functions.count } > 400)
}
