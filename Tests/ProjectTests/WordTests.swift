import Testing

/// Inputs of fuzzers are bytes, not words.
private var texts: [Checkout.File] {
    Checkout.current.files.filter { !$0.path.contains("/Corpus/") }
}

/// Put together here, or this file would break its own rules.
private func word(_ parts: String...) -> String { parts.joined() }

@Test func `nothing is left for later`() {
    let words = [word("TO", "DO"), word("FIX", "ME"), word("XX", "X"), word("HA", "CK")]
    for file in texts {
        for (number, line) in file.text.lines.enumerated() {
            for word in words where line.contains(word) && String(line).contains(word: word) {
                Issue.record("\(file.path):\(number + 1) says \(word)")
            }
        }
    }
}

/// What is built and tested here is so anywhere.
@Test func `no file knows where it was written`() {
    let places = [word("/ho", "me/"), word("/ro", "ot/"), word("/wo", "rk/"), word("/tmp/d", "ev-")]
    for file in texts {
        for (number, line) in file.text.lines.enumerated() {
            for place in places where line.contains(place) {
                Issue.record("\(file.path):\(number + 1) names \(place)")
            }
        }
    }
}

/// One word for one thing: clients are on one side and services on the other, and these two are used both ways round.
@Test func `the words that mean two things are not used`() {
    let words = [word("up", "stream"), word("down", "stream")]
    for file in texts where ["Sources", "Tests", "Benchmarks"].contains(where: { file.isBelow($0) }) {
        for (number, line) in file.text.lines.enumerated() {
            for word in words where line.lowercased().contains(word) {
                Issue.record("\(file.path):\(number + 1) says \(word)")
            }
        }
    }
}
